import ApusCore
import Foundation

/// The programs of an installed Postgres.
struct Binaries: Sendable {
    private let folder: String

    func path(_ program: String) -> String { "\(folder)/\(program)" }

    /// Returns the newest installation: in Debian's folders, or in the search path.
    static func find() -> Binaries? {
        let files = FileManager.default
        let versions = ((try? files.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []).compactMap(Int.init)
        let searched = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let folders = versions.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" } + searched
        return folders.first { folder in
            ["initdb", "postgres", "psql"].allSatisfy { files.isExecutableFile(atPath: "\(folder)/\($0)") }
        }.map(Binaries.init)
    }

    /// The major version, such as 15.
    func majorVersion() async throws -> Int {
        // Such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
        let text = try await Command.run(path("postgres"), ["--version"])
        let words = text.split(separator: " ").compactMap { Int($0.prefix { $0.isNumber }) }
        guard let version = words.first else {
            throw AppError(.unavailable, "The version of Postgres is unknown: \(text)")
        }
        return version
    }

    /// Creates the files of a server.
    func initialize(_ folder: String, _ options: TestPostgres.Options, _ account: ServerAccount) async throws {
        var arguments = [
            "-D", folder, "-U", "postgres", "-A", options.authentication, "--no-sync", "-E", "UTF8",
            "--locale=C.UTF-8",
        ]
        let passwordFile = "\(folder)-password"
        defer { try? FileManager.default.removeItem(atPath: passwordFile) }
        if let password = options.password {
            try Data((password + "\n").utf8).write(to: URL(filePath: passwordFile))
            arguments += ["--pwfile", passwordFile]
        }
        let (program, prefix) = account.command(path("initdb"))
        _ = try await Command.run(program, prefix + arguments)
    }

    /// Starts a server and waits until it accepts connections.
    func start(
        _ folder: String, port: Int, _ options: TestPostgres.Options, _ account: ServerAccount
    ) async throws -> ServerProcess {
        var settings = [
            "listen_addresses": "127.0.0.1", "port": "\(port)", "unix_socket_directories": folder, "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "500",
        ]
        settings.merge(options.settings) { $1 }
        let arguments = ["-D", folder] + settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0)=\($1)"] }
        let (program, prefix) = account.command(path("postgres"))
        return try await ServerProcess.start(
            [program] + prefix + arguments, stopSignal: "INT", removing: folder,
            readyWhen: "database system is ready to accept")
    }
}

/// The account that a server runs as. Postgres refuses to run as root; then it runs as the user `postgres`.
struct ServerAccount: Sendable {
    private let isRoot = getuid() == 0

    func createFolder(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try giveAway(path)
    }

    /// Creates a file that only the account can read.
    func createFile(_ path: String, _ content: String) throws {
        try Data(content.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: NSNumber(value: 0o600)], ofItemAtPath: path)
        try giveAway(path)
    }

    private func giveAway(_ path: String) throws {
        guard isRoot, let account = getpwnam("postgres") else { return }
        try FileManager.default.setAttributes(
            [
                .ownerAccountID: NSNumber(value: account.pointee.pw_uid),
                .groupOwnerAccountID: NSNumber(value: account.pointee.pw_gid),
            ], ofItemAtPath: path)
    }

    /// Returns the program to run and its first arguments.
    func command(_ program: String) -> (program: String, arguments: [String]) {
        guard isRoot else { return (program, []) }
        return ("/usr/bin/setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", program])
    }
}
