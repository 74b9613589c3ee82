import HTTPTypes
import NIOCore

/// The current request of a connection, and what its response depends on.
struct HTTP1Exchange {
    /// The number of the request, to distinguish it from earlier ones of the connection.
    let number: Int
    var form: HTTP1ResponseForm
    /// Whether the client still waits for 100 Continue before it sends the body.
    var needsContinue: Bool
    let hasRequestBody: Bool
    /// The body of the request while it is being received.
    var body: InboundStream?
    /// The worker that handles the request, until it has finished.
    var worker: RequestWorker?
    /// Whether the worker has finished.
    var isAnswered = false
    /// The action of a streamed response when the server begins to shut down.
    var drainAction: (@Sendable () -> Void)?

    /// - Parameter number: 0 for the exchange of a connection that has received no request.
    init(
        number: Int = 0, form: HTTP1ResponseForm = HTTP1ResponseForm(), needsContinue: Bool = false,
        hasRequestBody: Bool = false
    ) {
        self.number = number
        self.form = form
        self.needsContinue = needsContinue
        self.hasRequestBody = hasRequestBody
    }
}
