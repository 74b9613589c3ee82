import ApusHTTP
import HTTPTypes

extension Response {
    /// Whether the status precludes a body, whatever the handler returned (RFC 9110 §6.4.1).
    var hasNoBodyByStatus: Bool { status.code == 204 || status.code == 304 }
}
