import ApusCore
public import ApusData
import NIOCore

extension PostgresDatabase {
    /// Copies rows into a table, much faster than by statements.
    ///
    /// ```swift
    /// try await database.copyIn("COPY points (id, name) FROM STDIN") { data in
    ///     for point in points { try await data.write(Array("\(point.id)\t\(point.name)\n".utf8)) }
    /// }
    /// ```
    /// Inside a transaction, the rows are part of it.
    /// - Parameters:
    ///   - sql: A COPY statement with `FROM STDIN`, without values.
    ///   - body: Writes the rows in the format of the statement. If it throws, no row is added.
    /// - Returns: The number of rows.
    @discardableResult
    public func copyIn(_ sql: SQL, _ body: (PostgresCopyWriter) async throws -> Void) async throws -> Int {
        try await withExclusive(isWrite: true) { connection in
            let (request, copy) = try await self.startCopy(sql, connection) { .copyIn($0) }
            // Also after the last byte: the server may wait for the lock of a row.
            return try await withTaskCancellationHandler {
                try await self.sendCopy(request, PostgresCopyWriter(connection: connection, copy: copy), body)
            } onCancel: {
                connection.loop.execute { request.cancel() }
            }
        }
    }

    private func sendCopy(
        _ request: PendingRequest, _ writer: PostgresCopyWriter, _ body: (PostgresCopyWriter) async throws -> Void
    ) async throws -> Int {
        let (connection, copy) = (writer.connection, writer.copy)
        do {
            try await body(writer)
            try await copy.waitUntilWritable()
        } catch {
            await connection.onLoop { connection in
                copy.isAbandoned = true
                connection.machine.endCopyIn(failure: "The client has cancelled the copy.")
                connection.flushSoon()
            }
            // The connection can be used again when the server has confirmed it.
            _ = try? await request.answer(on: connection.loop)
            throw error
        }
        await connection.onLoop { connection in
            connection.machine.endCopyIn()
            connection.flushSoon()
        }
        return try await request.answer(on: connection.loop).affectedRows
    }

    /// Copies rows out of a table or a query, much faster than by statements.
    /// - Parameters:
    ///   - sql: A COPY statement with `TO STDOUT`, without values.
    ///   - body: Called with each piece of the data, which is not always a whole row. While it runs, at most about a
    ///     megabyte is buffered.
    /// - Returns: The number of rows.
    @discardableResult
    public func copyOut(_ sql: SQL, _ body: ([UInt8]) async throws -> Void) async throws -> Int {
        try await withExclusive { connection in
            let (request, copy) = try await self.startCopy(sql, connection) { .copyOut($0) }
            do {
                try await withTaskCancellationHandler {
                    while let chunk = try await copy.next() { try await body(Array(chunk.readableBytesView)) }
                } onCancel: {
                    connection.loop.execute { request.cancel() }
                }
            } catch {
                await connection.onLoop { connection in connection.abandonCopy(request) }
                throw error
            }
            return try await request.answer(on: connection.loop).affectedRows
        }
    }

    /// Runs a closure with the connection of the current transaction, or else one that nobody else uses.
    func withExclusive<Result>(
        isWrite: Bool = false, _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        if let (ambient, transaction) = try currentTransaction() {
            return try await ambient.run(isWrite: isWrite) { try await body(transaction.connection) }
        }
        try Task.checkCancellation()
        return try await exclusive.withConnection(on: currentLoop) { connection in
            try await HeldConnection.hold(of: exclusive) { try await body(connection) }
        }
    }

    private func startCopy(
        _ sql: SQL, _ connection: PostgresConnection, _ kind: (String) -> PendingRequest.Kind
    ) async throws -> (PendingRequest, CopyChannel) {
        let (text, values) = try sql.rendered(for: .postgres)
        guard values.isEmpty else {
            throw AppError(.internal, "COPY takes no values. Name the table and the columns in the text.")
        }
        guard !text.utf8.contains(0) else {
            throw AppError(.internal, "A statement must not contain the character U+0000.")
        }
        let request = PendingRequest(kind(text))
        let copy = CopyChannel(loop: connection.loop)
        await connection.beginPendingTransaction()
        await connection.onLoop { connection in
            request.copy = copy
            copy.setReading = { connection.setReading($0) }
            connection.submit(request)
        }
        return (request, copy)
    }
}

/// Writes the data of a COPY.
public struct PostgresCopyWriter: Sendable {
    let connection: PostgresConnection
    let copy: CopyChannel

    /// The maximum number of bytes that are passed on at once. The server takes no message of a gigabyte.
    private static let maximumPiece = 1 << 20

    /// Sends data: any part of it, not necessarily whole rows. Waits while the server cannot keep up.
    ///
    /// Tasks that send at the same time should send whole rows of less than a megabyte, which are not mixed with others.
    /// - Throws: An `AppError` if the server has rejected the data.
    public func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            try Task.checkCancellation()
            let piece = rest.prefix(Self.maximumPiece)
            while await !connection.onLoop({ $0.writeCopy(piece, copy) }) { try await copy.waitUntilWritable() }
            rest.removeFirst(piece.count)
        }
    }
}

extension PostgresConnection {
    /// The number of bytes of a COPY that are written at once.
    private static let copyBatch = 64 << 10

    func setReading(_ isReading: Bool) {
        try? channelContext?.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }

    /// Sends data of a COPY.
    /// - Returns: Whether the data was accepted; `false` if the writer has to wait.
    func writeCopy(_ bytes: ArraySlice<UInt8>, _ copy: CopyChannel) -> Bool {
        switch copy.writing {
        case .wait: return false
        case .ended: return true
        case .ready: break
        }
        guard machine.copyData(bytes) else { return true }
        if machine.output.readableBytes < Self.copyBatch {
            flushSoon()
        } else {
            flush()
            copy.writabilityChanged(channelContext?.channel.isWritable ?? true)
        }
        return true
    }

    /// Stops a COPY whose data nobody reads any more.
    func abandonCopy(_ request: PendingRequest) {
        setReading(true)
        request.cancel()
    }

    /// Begins the transaction that the next statement would begin, for requests that are no statements. Waits if it is
    /// beginning.
    func beginPendingTransaction() async {
        let isPending = await onLoop { connection in
            switch connection.transaction {
            case .notBegun, .beginning: true
            case .none, .begun: false
            }
        }
        guard isPending else { return }
        _ = try? await PendingRequest("SELECT 1").performUncancelled(on: self)
    }
}
