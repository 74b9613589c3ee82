import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore

// Responses whose body is available, and errors that belong to no request.

extension HTTP1Connection {
    func deliver(_ response: Response) -> Bool {
        guard !isStreamed(response) else { return false }
        let number = exchange.number
        if channelContext != nil,
            let keepAlive = machine.beginResponse(expiry: response.deadline)
        {
            let form = exchange.form
            if case .trailers(let trailers) = response.delivery, !form.isVersion10 {
                output.write(response, trailers: trailers, form, keepAlive: keepAlive)
            } else {
                output.write(response, form, keepAlive: keepAlive)
            }
            endResponse(keepAlive: keepAlive)
        }
        finish(number)
        return true
    }

    private func isStreamed(_ response: Response) -> Bool {
        if response.upgrade != nil { return true }
        return if case .stream = response.body { exchange.form.hasBody(response) } else { false }
    }

    /// Called when a response has been written completely. The next request may start.
    func endResponse(keepAlive: Bool) {
        exchange.worker = nil
        exchange.drainAction = nil
        exchange.body.take()?.finish(
            throwing: AppError(.cancelled, "The response has been sent; the rest of the body is discarded."))
        // Within a read, the time at which the read began is used.
        perform(machine.endResponse(keepAlive: keepAlive, now: isInRead ? machine.now : .now()))
        process()
        readIfWanted()
    }

    /// Called when the worker has finished a request. It goes on to requests of other connections, which this one must
    /// not cancel.
    func finish(_ number: Int) {
        guard number == exchange.number else { return }
        exchange.isAnswered = true
        exchange.worker = nil
    }

    // MARK: Errors

    /// Answers bytes that are no valid request, then closes the connection.
    func reject(_ error: RequestError) {
        _ = machine.linger()
        // The error belongs to no request, so the previous request must not affect the response.
        exchange.form = HTTP1ResponseForm()
        write(problem: error.appError, status: error.status)
        closeAfterLastResponse()
    }

    func write(problem: AppError, status: HTTPResponse.Status) {
        var response = Response(problem: problem)
        if status != response.status {
            var details = ProblemDetails(problem)
            details.status = status.code
            details.title = status.reasonPhrase
            response.status = status
            response.body = (try? JSONCoding.encode(details)).map(ResponseBody.bytes) ?? .empty
        }
        output.write(response, exchange.form, keepAlive: false)
        output.flush()
    }
}
