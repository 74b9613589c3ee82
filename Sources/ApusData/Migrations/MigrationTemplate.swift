import ApusCore
public import FoundationEssentials

/// The source of a new migration.
public struct MigrationTemplate: Sendable {
    /// The name of the file, such as `AddTotals.swift`.
    public let fileName: String
    /// The text of the file.
    public let source: String
    /// The name of the type, to be added to the migrations of a module.
    public let typeName: String

    /// Creates the source of a migration.
    /// - Parameters:
    ///   - name: Words of what it does, separated by hyphens, spaces or underscores, such as `add-totals`.
    ///   - date: The date that its id begins with.
    /// - Throws: An `AppError` of code `invalidArgument` unless the name consists of words of ASCII letters and digits
    ///   and begins with a letter.
    public init(name: String, date: Date) throws {
        let words = name.split { "-_ ".contains($0) }.map(String.init)
        let isValid = words.allSatisfy { word in
            word.utf8.allSatisfy { $0 < 0x80 } && word.allSatisfy { $0.isLetter || $0.isNumber }
        }
        guard isValid, let first = words.first?.first, first.isLetter else {
            throw AppError(
                .invalidArgument, "\"\(name)\" is not the name of a migration; write it like add-order-totals.")
        }
        typeName = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        fileName = "\(typeName).swift"
        let day = date.formatted(.iso8601.year().month().day())
        source = """
            import Apus

            enum \(typeName): Migration {
                static let id = "\(day)-\(words.map { $0.lowercased() }.joined(separator: "-"))"
                static let statements: [SQL] = [

                ]
                static let undo: [SQL] = [

                ]
            }

            """
    }
}
