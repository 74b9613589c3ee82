import ApusCore
import ApusHTTP
import NIOCore

// The upgrade to another protocol (RFC 9110 §7.8).

extension HTTP1Connection {
    func upgrade(_ response: Response, _ upgrade: Upgrade) async {
        guard !exchange.form.isVersion10, !exchange.hasRequestBody else {
            // The bytes of a body would be mistaken for those of the new protocol (RFC 9110 §7.8).
            let error = AppError(.invalidArgument, "Only an HTTP/1.1 request without a body can be upgraded.")
            write(problem: error, status: error.httpStatus)
            return closeAfterLastResponse()
        }
        var head = ByteBuffer()
        ResponseHeadEncoder.encodeUpgrade(headers: response.headers, into: &head)
        output.write(head)
        let stream = HTTP1ByteStream(handler: self, capacity: core.limits.bufferedBytes)
        upgraded = stream
        let remainder = machine.upgrade()
        if remainder.readableBytes > 0 { stream.receive(remainder) }
        // No other event will tell the stream.
        if machine.isInputClosed { stream.finish() }
        if core.isDraining { stream.drain() }
        output.flush()
        readIfWanted()
        await upgrade.run(stream)
        stream.finish()
        upgraded = nil
        exchange.worker = nil
        closeAfterLastResponse()
    }

    /// Called when the reader of the upgraded connection has room again.
    func resumeReadingUpgraded() {
        upgraded?.roomBecameAvailable()
        readIfWanted()
    }

    func drainUpgraded() -> Int {
        guard let upgraded else { return 0 }
        upgraded.drain()
        return 1
    }
}
