import ApusHTTP
import HTTPTypes
import NIOCore

// Requests: starting their handlers, and asking the client for their bodies.

extension HTTP1Connection {
    func start(_ head: RequestHead, _ incoming: HTTP1StateMachine.Body) {
        let number = exchange.number + 1
        let form = HTTP1ResponseForm(isHead: head.method == .head, isVersion10: head.isVersion10)
        var body: RequestBody
        switch incoming {
        case .complete(let bytes):
            exchange = HTTP1Exchange(number: number, form: form, hasRequestBody: bytes.readableBytes > 0)
            body = RequestBody(bytes)
        case .incoming(let length):
            exchange = HTTP1Exchange(
                number: number, form: form, needsContinue: head.expectsContinue, hasRequestBody: true)
            let stream = InboundStream(length: length, capacity: core.limits.bufferedBytes) { [weak self] in
                self?.onLoop { $0.resumeBody(of: number) }
            }
            exchange.body = stream
            body = RequestBody(stream, limit: core.limits.bodyBytes)
        }
        body.limit = core.limits.bodyBytes
        let request = Request(
            method: head.method, target: head.target, authority: head.authority, headers: head.headers, body: body,
            remoteAddress: peer.address, isSecure: peer.isSecure, context: peer.makeContext(core.logger))
        let worker = loop.start(request, of: self)
        // A handler that never suspended has already responded.
        if number == exchange.number, !exchange.isAnswered { exchange.worker = worker }
    }

    /// Called when the reader of a request's body has room for more.
    private func resumeBody(of number: Int) {
        guard number == exchange.number else { return }
        writeContinue()
        machine.bodyWanted(true)
        process()
        readIfWanted()
    }

    /// Sends 100 Continue, if the client waits for it.
    func writeContinue() {
        guard exchange.needsContinue else { return }
        exchange.needsContinue = false
        output.write(Self.continueHead)
        output.flush()
    }

    private static let continueHead = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
}
