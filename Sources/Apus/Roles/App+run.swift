import ApusCore
import ApusData
import ApusServer
import ApusLogging
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

extension App {
    /// Runs the process until it receives SIGTERM or SIGINT. A second signal ends it immediately.
    ///
    /// `--help` lists the roles and every setting. If the app cannot start, all problems are printed to standard error, and
    /// the process exits with 1.
    public func run() async {
        let (task, flags) = AppCommand.parse(Array(CommandLine.arguments.dropFirst()), of: self)
        do {
            let settings = try await Settings(arguments: flags, variables: ProcessInfo.processInfo.environment)
            let logOutput: LogOutput = task.role.printsResult ? .standardError : .standardOutput
            let common = CommonSettings(settings, of: self)
            common.bootstrapLogging(output: logOutput)
            switch task {
            // Not with an app assembled, which opens the database.
            case .restore(let file): try await restore(common, settings, from: file)
            case .migrate(.new(let name)): try Self.createMigration(name)
            case .run, .migrate, .backUp, .jobs: try await run(task, assemble(settings: settings, logOutput: logOutput))
            }
            logOutput.flush()
            LogOutput.standardOutput.flush()
        } catch {
            LogOutput.standardOutput.flush()
            LogOutput.standardError.flush()
            FileHandle.standardError.write(Data("\(Self.text(of: error, task.role))\n".utf8))
            exit(1)
        }
    }

    private static func text(of error: any Error, _ role: Role) -> String {
        // What an administrator wants to do with a job may be impossible.
        if role == .jobs, let error = error as? AppError { return "Error: \(error.message)" }
        return (error as? StartupError)?.description
            ?? StartupError(problems: [(error as? AppError)?.message ?? "\(error)"]).description
    }

    private func run(_ task: RoleTask, _ assembly: Assembly) async throws {
        switch task {
        case .run(let role): try await run(role, assembly)
        case .migrate(let action):
            try await migrate(action, assembly)
            await assembly.close()
        case .backUp(let file):
            try await assembly.requiredDatabase.backUp(to: file)
            print("wrote \(file)")
            await assembly.close()
        case .jobs(let action):
            try await checkMigrations(assembly)
            try await administerJobs(action, assembly)
            await assembly.close()
        case .restore: break
        }
    }

    private func run(_ role: Role, _ assembly: Assembly) async throws {
        switch role {
        case .routes:
            for route in assembly.router.listing {
                print(route.method.padding(toLength: 8, withPad: " ", startingAt: 0) + route.template)
            }
        case .openapi:
            let (document, unknown) = try APIDescription.document(of: assembly.router, title: name, version: version)
            print(String(buffer: document))
            for type in unknown {
                let advice = "it must be Decodable and CaseIterable, or conform to SchemaDescribing"
                FileHandle.standardError.write(Data("The schema of \(type) could not be found out: \(advice).\n".utf8))
            }
        case .check:
            let problems = try await assembly.requiredDatabase.checkIntegrity()
            await assembly.close()
            guard problems.isEmpty else { throw StartupError(problems: problems) }
            print("ok")
        // Tasks with arguments of their own.
        case .migrate, .backup, .restore, .jobs: break
        case .all:
            for id in try await assembly.migrator?.run() ?? [] {
                assembly.logger.info("migration applied", metadata: ["migration": "\(id)"])
            }
            try await serve(assembly, assembly.services + [assembly.jobRunner].compactMap { $0 }, listens: true)
        case .serve:
            try await checkMigrations(assembly)
            try await serve(assembly, assembly.services, listens: true)
        case .worker:
            try await checkMigrations(assembly)
            try await serve(assembly, assembly.services + [assembly.jobRunner].compactMap { $0 }, listens: false)
        }
    }

    private func checkMigrations(_ assembly: Assembly) async throws {
        let pending = try await assembly.migrator?.pending() ?? []
        guard pending.isEmpty else {
            throw StartupError(problems: pending.map { "The migration \($0) is not applied: run `\(name) migrate`." })
        }
    }

    /// Runs services until the stop. They stop in the reverse order: the server first, then the jobs, then the services of
    /// modules, such as clients that jobs use, and the database and what the processes share last.
    private func serve(_ assembly: Assembly, _ services: [any Service], listens: Bool) async throws {
        var all: [any Service] = [ResourcesService(resources: assembly.resources)] + services
        if listens { all.append(assembly.makeServer(announcing: name)) }
        var configuration = ServiceGroupConfiguration(
            services: all.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: assembly.logger)
        configuration.logger.logLevel = .warning
        let group = ServiceGroup(configuration: configuration)
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                tasks.addTask { await Self.waitForSecondSignal() }
                try await tasks.next()
                tasks.cancelAll()
            }
        } catch {
            await assembly.resources.eventLoops.shutDown()
            throw error
        }
        await assembly.resources.eventLoops.shutDown()
        assembly.logger.info("stopped")
    }

    private static func waitForSecondSignal() async {
        var count = 0
        for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
            count += 1
            if count == 2 { return }
        }
    }
}

extension Assembly {
    /// The database.
    /// - Throws: A ``StartupError`` if the app has none.
    var requiredDatabase: any Database {
        get throws {
            guard let database else { throw StartupError(problems: ["This app has no database."]) }
            return database
        }
    }

    /// Returns the server. In development it prints its address.
    func makeServer(announcing name: String) -> Server {
        let scheme = server.listeners.first?.tls == nil ? "http" : "https"
        return Server(
            server, on: resources.eventLoops, logger: logger,
            onListening: { [isDevelopment] addresses in
                guard isDevelopment, let address = addresses.first, address.port != nil else { return }
                LogOutput.standardOutput.write("\(name) is at \(scheme)://\(address)/\n")
            }, onStopping: readiness.stop, handler: handler)
    }

    /// Returns a server for tests. It rejects no slow bodies: on a busy machine, a test may pause while it sends one.
    /// - Parameter onListening: Receives the port.
    package func makeTestServer(onListening: @escaping @Sendable (Int) -> Void) -> any Service {
        var configuration = server
        configuration.limits.bodyGrace = .seconds(600)
        return Server(
            configuration, on: resources.eventLoops, logger: logger, onListening: { onListening($0.first?.port ?? 0) },
            onStopping: readiness.stop, handler: handler)
    }
}

/// Closes the database, and the connections to what the processes share, after everything else has stopped.
private struct ResourcesService: Service {
    let resources: SharedResources

    func run() async throws {
        try? await gracefulShutdown()
        await resources.close()
    }
}
