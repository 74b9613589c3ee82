import ApusCore
public import ApusData
import ApusRateLimit

/// Makes the processes of an app share their caches, messages and rate limits through Redis, if the setting `redis.url` (the
/// variable `REDIS_URL`) has a value. See ``RedisConfiguration/init(url:)`` for the forms of the URL.
///
/// ```swift
/// App("shop", engines: SQLiteEngine(), PostgresEngine(), sharing: RedisSharing()) { … }
/// ```
///
/// The container then has `RedisClient`, and `any Cache`, `any PubSub` and `any RateLimiter` on Redis.
public struct RedisSharing: SharingEngine {
    private let configure: @Sendable (inout RedisConfiguration) -> Void

    /// Creates an engine.
    /// - Parameter configure: Changes what a URL says, or does not say.
    public init(configure: @escaping @Sendable (inout RedisConfiguration) -> Void = { _ in }) {
        self.configure = configure
    }

    public var setting: String { "redis.url" }

    public func open(_ url: String, _ settings: SharingSettings) throws -> any SharedState {
        var configuration = try RedisConfiguration(url: url)
        configuration.clientName = settings.name
        configure(&configuration)
        return SharedRedis(try RedisClient(configuration, logger: settings.logger), settings)
    }
}

/// What an app shares through Redis. The names of keys and channels begin with the name of the app.
private struct SharedRedis: SharedState {
    let name = "redis"
    let client: RedisClient
    let parts: [SharedPart]

    init(_ client: RedisClient, _ settings: SharingSettings) {
        self.client = client
        let prefix = "\(settings.name):"
        parts = [
            SharedPart(client, as: RedisClient.self),
            SharedPart(RedisCache(client, prefix: "\(prefix)cache:"), as: (any Cache).self),
            SharedPart(RedisPubSub(client, prefix: prefix), as: (any PubSub).self),
            SharedPart(RedisRateLimiter(client, prefix: "\(prefix)limit:"), as: (any RateLimiter).self),
        ]
    }

    func checkHealth() async throws { try await client.ping() }

    func close() async { await client.close() }
}
