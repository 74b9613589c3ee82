import ApusCore
import NIOCore

extension PostgresConnection {
    /// Runs statements of the transaction in one write. If one fails, so do those after it.
    ///
    /// If the task is cancelled, the statement that the server works on is. The commit either succeeds or fails.
    /// - Parameter commits: Whether to commit the transaction in the same write. The server answers with a rollback if
    ///   a statement has failed.
    /// - Throws: The first error of a statement, or the error of the commit; an `AppError` of code `unknown` if the
    ///   connection is lost before the answer arrives.
    func run(_ requests: [PendingRequest], commits: Bool) async throws -> [StatementResult] {
        let commit = commits ? PendingRequest(.commit) : nil
        guard let last = commit ?? requests.last else { return [] }
        await onLoop { $0.submit(requests, commit) }
        let end = await withTaskCancellationHandler {
            await outcome(of: last)
        } onCancel: {
            loop.execute {
                self.cancelBatch(requests)
                if let commit { self.limitCommit(commit) }
            }
        }
        // Answered before the last one.
        var outcomes = await onLoop { connection in
            if commits, connection.machine.status == .idle { connection.transaction = .none }
            return requests.compactMap(\.result)
        }
        outcomes.append(end)
        if let error = Self.failure(outcomes, commits: commits) {
            throw Task.isCancelled && AppError(wrapping: error).code == .cancelled ? CancellationError() : error
        }
        return try outcomes.map { try $0.get() }
    }

    private func outcome(of request: PendingRequest) async -> Result<StatementResult, any Error> {
        do {
            return .success(try await request.answer(on: loop))
        } catch {
            return .failure(error)
        }
    }

    private func submit(_ requests: [PendingRequest], _ commit: PendingRequest?) {
        transactionAdvanced()
        guard case .begun = transaction, !hasTransactionEnded else {
            let error = AppError(.aborted, "The transaction has already ended.")
            for request in requests + [commit].compactMap(\.self) { request.finish(.failure(error)) }
            return
        }
        for (index, request) in requests.enumerated() {
            submit(request)
            guard case .failure(let error)? = request.result else { continue }
            // It was not written, so nothing may be that relies on it.
            for other in requests[(index + 1)...] + [commit].compactMap(\.self) { other.finish(.failure(error)) }
            return
        }
        if let commit { submit(commit) }
    }

    private static func failure(_ outcomes: [Result<StatementResult, any Error>], commits: Bool) -> (any Error)? {
        let errors = outcomes.map { outcome -> (any Error)? in
            if case .failure(let error) = outcome { error } else { nil }
        }
        guard let first = errors.compactMap(\.self).first else { return nil }
        // A statement whose answer was lost says nothing about the commit behind it.
        let wasReported = ((first as? AppError)?.cause as? PostgresError)?.isFatal == false
        if commits, !wasReported, let error = errors.last ?? nil { return error }
        // The commit succeeded: the values of a row could not be read.
        return first
    }
}
