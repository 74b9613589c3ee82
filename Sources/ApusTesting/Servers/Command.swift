import ApusCore
import Foundation

/// A program that runs to its end.
enum Command {
    /// Runs a program.
    /// - Returns: What it has printed to its standard output, without the last line break.
    /// - Throws: An `AppError` of code `unavailable` with what it has printed to its standard error.
    static func run(_ program: String, _ arguments: [String]) async throws -> String {
        // Into files: a pipe would have to be read until the end of all that have inherited it.
        let (output, errors) = (try CapturedOutput(), try CapturedOutput())
        let status = try await onOwnThread {
            try ChildProcess([program] + arguments, output: output.descriptor, errors: errors.descriptor).wait()
        }
        guard status == 0 else { throw AppError(.unavailable, "\(program) failed: \(try errors.text())") }
        let text = try output.text()
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }
}

/// A temporary file for what a program prints.
private final class CapturedOutput: Sendable {
    private let path: String
    private let handle: FileHandle
    var descriptor: Int32 { handle.fileDescriptor }

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "apus-output-\(UUID())").path
        try Data().write(to: URL(filePath: path), options: .withoutOverwriting)
        handle = try FileHandle(forWritingTo: URL(filePath: path))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func text() throws -> String { String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self) }
}
