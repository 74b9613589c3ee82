import Synchronization

/// The only batch of a stream whose rows were all read before.
final class OneBatch: Sendable {
    private let rows: Mutex<[Row]>

    init(_ rows: [Row]) { self.rows = Mutex(rows) }

    func take() -> [Row] {
        rows.withLock { rows in
            defer { rows = [] }
            return rows
        }
    }
}
