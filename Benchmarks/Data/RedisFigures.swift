import ApusCore
import ApusRedis
import Logging

enum RedisFigures {
    /// The keys of `redis-benchmark -r 10000`.
    private static let keys = (0..<10_000).map { number in
        let digits = "\(number)"
        return "key:" + String(repeating: "0", count: 12 - digits.utf8.count) + digits
    }

    static let all = [
        Figure(name: "redis-gets", unit: "gets/s") { url, duration in
            let redis = try RedisClient(url: url, logger: Logger(label: "bench"))
            try await redis.mset(keys.map { (key: $0, value: "xxx") })
            let load = Load(tasks: 64, duration: duration)
            return try await load.measure(closing: { await redis.close() }) { numbers in
                let key = keys[Int.random(in: keys.indices, using: &numbers)]
                guard try await redis.get(key) == "xxx" else {
                    throw AppError(.notFound, "The value of \(key) is not the one that was set.")
                }
            }.rate
        }
    ]
}
