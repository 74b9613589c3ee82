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

    /// Creates the exchange of a connection that has received no request.
    init() {
        number = 0
        form = HTTP1ResponseForm()
        needsContinue = false
        hasRequestBody = false
    }

    init(number: Int, _ head: RequestHead, _ incoming: HTTP1StateMachine.Body) {
        self.number = number
        form = HTTP1ResponseForm(isHead: head.method == .head, isVersion10: head.isVersion10)
        switch incoming {
        case .complete(let bytes):
            needsContinue = false
            hasRequestBody = bytes.readableBytes > 0
        case .incoming:
            needsContinue = head.expectsContinue
            hasRequestBody = true
        }
    }
}
