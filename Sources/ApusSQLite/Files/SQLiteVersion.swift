import GRDBSQLite
import Logging
import Synchronization

/// The version of the SQLite library that is loaded.
struct SQLiteVersion: Sendable, CustomStringConvertible {
    /// As SQLite counts: 3,040,001 is version 3.40.1.
    let number: Int

    static var current: SQLiteVersion { SQLiteVersion(number: Int(sqlite3_libversion_number())) }

    var description: String { "\(number / 1_000_000).\(number / 1000 % 1000).\(number % 1000)" }

    /// Whether a checkpoint of one connection cannot discard what another one commits meanwhile. The bug is in versions
    /// 3.7.0 to 3.51.2, except 3.44.6 and 3.50.7 and their later patches (https://sqlite.org/wal.html#walresetbug).
    var hasFixedCheckpoints: Bool {
        number >= 3_051_003 || (3_050_007..<3_051_000).contains(number) || (3_044_006..<3_045_000).contains(number)
            || number < 3_007_000
    }

    private static let isLogged = Atomic(false)

    /// Logs the version, once in a process.
    func log(to logger: Logger) {
        guard !Self.isLogged.exchange(true, ordering: .relaxed) else { return }
        logger.info("SQLite is loaded", metadata: ["version": "\(self)"])
        guard !hasFixedCheckpoints else { return }
        logger.warning(
            """
            This version of SQLite can lose commits when one connection checkpoints while another one writes. Processes \
            of this framework never do, but do not write to the file with other programs while it is open. Fixed in \
            3.51.3, 3.50.7 and 3.44.6.
            """, metadata: ["version": "\(self)"])
    }
}
