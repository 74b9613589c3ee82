/// The rows of a query, read as they are consumed. Memory holds one batch of them at a time.
public struct RowStream: AsyncSequence, Sendable {
    public typealias Element = Row

    /// Returns the next rows; none at the end.
    private let nextBatch: @Sendable () async throws -> [Row]

    /// Creates a stream.
    /// - Parameter nextBatch: Returns the next rows; none at the end. Called again only after it has returned.
    package init(nextBatch: @escaping @Sendable () async throws -> [Row]) { self.nextBatch = nextBatch }

    /// Creates a stream of rows that were all read before.
    package init(rows: [Row]) {
        let batch = OneBatch(rows)
        self.init { batch.take() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(nextBatch: nextBatch) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let nextBatch: @Sendable () async throws -> [Row]
        private var batch: ArraySlice<Row> = []
        private var isAtEnd = false

        fileprivate init(nextBatch: @escaping @Sendable () async throws -> [Row]) { self.nextBatch = nextBatch }

        public mutating func next() async throws -> Row? {
            if let row = batch.popFirst() { return row }
            guard !isAtEnd else { return nil }
            batch = try await nextBatch()[...]
            isAtEnd = batch.isEmpty
            return batch.popFirst()
        }
    }
}
