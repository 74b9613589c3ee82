import ApusCore

/// A disagreement between the migrations of the program and those that the database has had.
enum MigrationError: Sendable, Hashable {
    case duplicate(String)
    case irreversible(String)
    /// The database has had a migration that the program does not know.
    case unknown(String)
    /// A statement of an applied migration differs. `was` is `nil` if it is new, or if it is not known any more; `isNow`
    /// is `nil` if it was removed.
    case changed(String, statement: Int, was: String?, isNow: String?)

    var message: String {
        switch self {
        case .duplicate(let id): "Two migrations have the id \(id). Migration ids must be unique."
        case .irreversible(let id): "The migration \(id) cannot be undone: it does not say how."
        case .unknown(let id):
            "The database has the migration \(id), which this program does not know. The program is older than the database."
        case .changed(let id, let number, let was, let isNow):
            "The migration \(id) was changed after it had been applied. Restore it and add a new one."
                + Self.difference(number, was, isNow)
        }
    }

    private static func difference(_ number: Int, _ was: String?, _ isNow: String?) -> String {
        switch (was, isNow) {
        case (let was?, let isNow?): " Its statement \(number) was\n    \(was)\nand is now\n    \(isNow)"
        case (let was?, nil): " Its statement \(number) was removed:\n    \(was)"
        case (nil, let isNow?): " Its statement \(number) is new or was changed:\n    \(isNow)"
        case (nil, nil): ""
        }
    }

    var appError: AppError { AppError(.failedPrecondition, message) }
}
