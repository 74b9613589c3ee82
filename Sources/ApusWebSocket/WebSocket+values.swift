// Messages that are values: `Codable` types as JSON in text messages.

extension WebSocket {
    /// Sends a value in a text message, as JSON like that of responses. Suspends while the client does not keep up.
    /// - Throws: An error of the encoding, or an `AppError` with code `cancelled` if the connection is closed.
    public func send(json value: some Encodable) async throws {
        try await send(encoded: WebSocket.encode(json: value))
    }

    /// Returns the next message, decoded from JSON and validated like the body of a request, or `nil` once the
    /// connection is closed. Only one task may receive at a time.
    ///
    /// An invalid message costs only itself: a handler that catches the error can receive the next message. If the
    /// error leaves the handler, the connection is closed with 1007 and a reason that says what was wrong.
    ///
    /// ```swift
    /// while true {
    ///     do {
    ///         guard let fix = try await socket.receive(Fix.self) else { return }
    ///         await tracker.add(fix)
    ///     } catch let error as AppError where error.code == .invalidArgument {
    ///         try await socket.send(error.message)
    ///     }
    /// }
    /// ```
    /// - Throws: The errors of ``WebSocketMessage/decode(_:)`` for the message that was received, or an error of the
    ///   connection.
    public func receive<Value: Decodable & Sendable>(_ type: Value.Type) async throws -> Value? {
        try await receive()?.decode(type)
    }

    /// Returns the sequence of received messages, decoded from JSON and validated like the body of a request.
    ///
    /// ```swift
    /// for try await fix in socket.messages(of: Fix.self) { await tracker.add(fix) }
    /// ```
    ///
    /// An invalid message is thrown and does not end the sequence: after catching the error, iterate again, with the
    /// same iterator or a new one, to receive the messages after it. See ``receive(_:)``.
    public func messages<Value: Decodable & Sendable>(of type: Value.Type) -> Messages<Value> { Messages(socket: self) }

    /// The messages of a WebSocket as values of a type.
    public struct Messages<Value: Decodable & Sendable>: AsyncSequence, Sendable {
        public typealias Element = Value

        let socket: WebSocket

        public func makeAsyncIterator() -> Iterator { Iterator(socket: socket) }

        /// An iterator over the received values.
        public struct Iterator: AsyncIteratorProtocol {
            let socket: WebSocket

            public func next() async throws -> Value? { try await socket.receive(Value.self) }
        }
    }
}
