import ApusCore
import ApusData
import ApusRateLimit
import ApusServer
import Logging

extension App {
    /// Opens what the processes of the app share; `nil` if no setting says so, or if the URL is wrong, which is reported.
    func openSharedState(_ common: CommonSettings, _ settings: Settings, _ logger: Logger) -> (any SharedState)? {
        guard let sharing, let url = common.sharedURL else { return nil }
        do {
            return try sharing.open(url, SharingSettings(name: name, logger: logger))
        } catch {
            let reason = (error as? AppError)?.message ?? "\(error)"
            settings.reportProblem("\(SettingDeclaration.names(of: sharing.setting)) cannot be used: \(reason)")
            return nil
        }
    }
}

extension AppBuilder {
    /// Provides what the processes of an app share, or else the versions for one process. Parts that modules provide
    /// themselves take precedence.
    mutating func provideSharedParts(_ shared: (any SharedState)?, _ database: (any Database)?) {
        for part in shared?.parts ?? [] { provideUnlessProvided(part.id, part.name) { _ in part.part } }
        provideUnlessProvided((any Cache).self) { _ in MemoryCache() }
        provideUnlessProvided((any PubSub).self) { _ in database?.pubSub ?? MemoryPubSub() }
        provideUnlessProvided((any RateLimiter).self) { MemoryRateLimiter(clock: try $0.resolve()) }
    }

    private mutating func provideUnlessProvided<Part: Sendable>(
        _ type: Part.Type, _ make: @escaping @Sendable (Container) throws -> Part
    ) {
        provideUnlessProvided(ObjectIdentifier(type), "\(type)", make)
    }
}

/// Closes what everything else uses, after it has stopped.
struct SharedResources: Sendable {
    let database: (any Database)?
    let shared: (any SharedState)?
    /// The event loops of the server, on which both have connections. They end last.
    let eventLoops = ServerEventLoops()

    func close() async {
        await shared?.close()
        await database?.close()
    }
}
