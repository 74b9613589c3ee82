import ApusCore
import Foundation
import Synchronization

/// What an administrator does with a server.
extension TestPostgres {
    /// Shuts the server down, and keeps its data. Its connections end at once. ``restart()`` starts it again.
    public func shutDown() async { await process.withLock { $0 }.stop(keepsFolder: true) }

    /// Shuts the server down if it runs, and starts it again with its data, on the same port.
    /// - Throws: An `AppError` of code `unavailable` with the server's output if it does not start.
    public func restart() async throws {
        await shutDown()
        let started = try await Self.installed().start(folder, port: port, options, ServerAccount())
        process.withLock { $0 = started }
    }

    /// Starts a hot standby: a server that follows this one and accepts only reads. It has to be stopped as well.
    ///
    /// This server must authenticate by `trust`.
    /// - Throws: An `AppError` of code `unavailable` with the output of the program that failed.
    public func startStandby() async throws -> TestPostgres {
        let binaries = try Self.installed()
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-postgres-\(UUID())").path
        let account = ServerAccount()
        let (program, prefix) = account.command(binaries.path("pg_basebackup"))
        let arguments = [
            "-D", folder, "-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres", "-R", "--checkpoint=fast", "--no-sync",
        ]
        do {
            _ = try await Command.run(program, prefix + arguments)
            let port = try ReservedPort()
            let process = try await binaries.start(folder, port: port.number, options, account)
            return TestPostgres(port, folder: folder, options, majorVersion: majorVersion, process)
        } catch {
            try? FileManager.default.removeItem(atPath: folder)
            throw error
        }
    }

    /// Makes a standby a primary, and returns when it accepts writes.
    public func promote() async throws { try await psql("SELECT pg_promote()") }
}
