import ApusCore
import ApusRedis
import Logging
import Testing

/// URLs, and the messages about those that are not valid.
@Suite struct RedisURLTests {
    @Test func `A single server`() throws {
        let plain = try RedisConfiguration(url: "redis://localhost")
        #expect(plain.topology == .single(.tcp(host: "localhost", port: 6379)))
        #expect(plain.database == 0 && plain.user == nil && plain.password == nil && plain.tls == nil)
        let full = try RedisConfiguration(url: "rediss://ada:p%40ss%3a%2F@[::1]:7000/3")
        #expect(full.topology == .single(.tcp(host: "::1", port: 7000)))
        #expect(full.database == 3 && full.user == "ada" && full.password?.reveal() == "p@ss:/" && full.tls != nil)
        let password = try RedisConfiguration(url: "REDIS://:secret@h:1/")
        #expect(password.user == nil && password.password?.reveal() == "secret")
        #expect(try RedisConfiguration(url: "redis://h?db=4").database == 4)
        #expect(try RedisConfiguration(url: "redis://:a@b@h").password?.reveal() == "a@b")
    }

    @Test func `A Unix domain socket`() throws {
        let configuration = try RedisConfiguration(url: "redis+unix://:pw@/run/redis.sock?db=2")
        #expect(configuration.topology == .single(.unix(path: "/run/redis.sock")))
        #expect(configuration.database == 2 && configuration.password?.reveal() == "pw")
    }

    @Test func `Sentinels and clusters`() throws {
        let sentinel = try RedisConfiguration(url: "redis+sentinel://:pw@a,b:1,[::1]:2/main/5")
        #expect(
            sentinel.topology
                == .sentinel(
                    [.tcp(host: "a", port: 26_379), .tcp(host: "b", port: 1), .tcp(host: "::1", port: 2)],
                    primary: "main"))
        #expect(sentinel.database == 5 && sentinel.password?.reveal() == "pw")
        let cluster = try RedisConfiguration(url: "rediss+cluster://a,b:1")
        #expect(cluster.topology == .cluster([.tcp(host: "a", port: 6379), .tcp(host: "b", port: 1)]))
        #expect(cluster.tls != nil)
    }

    @Test(
        arguments: [
            ("localhost:6379", "has no scheme"), ("redis:localhost", "has no scheme"),
            ("http://localhost", "unknown scheme \"http\""), ("redis://", "names no host"),
            ("redis:///1", "names no host"), ("redis://:6379", "a port without a host"),
            ("redis://h:", "a port that is not"), ("redis://h:0", "a port that is not"),
            ("redis://h:65536", "a port that is not"),
            ("redis://h:6379x", "a port that is not"), ("redis://::1", "an IPv6 address without brackets"),
            ("redis://[::1", "without a closing bracket"), ("redis://[::1]x", "after an IPv6 address"),
            ("redis://h/x", "a database that is not"), ("redis://h/-1", "a database that is not"),
            ("redis://h/1/2", "a path that is too long"), ("redis://h?timeout=1", "an unknown parameter"),
            ("redis://h?db=x", "a database that is not"), ("redis://a,b", "several hosts"),
            ("redis://a,", "an empty host"),
            ("redis://user@h", "a user without a password"), ("redis://user:@h", "an empty password"),
            ("redis://:%zz@h", "a % in its password"), ("redis://:%2@h", "a % in its password"),
            ("redis://:%ff@h", "a password that is not UTF-8"), ("redis://h#1", "a fragment"),
            ("redis+unix://run/redis.sock", "where only a password may be"), ("redis+unix://", "names no socket"),
            ("redis+sentinel://a,b", "does not name the primary"), ("redis+sentinel://a/", "does not name the primary"),
            ("redis+sentinel://a/m/1/2", "a path that is too long"), ("redis+cluster://a/1", "a path that is too long"),
            ("redis+cluster://a?db=1", "A cluster has only the database 0"),
        ]) func `Each mistake is named`(url: String, message: String)
    {
        let error = #expect(throws: AppError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    }

    @Test func `An error does not contain the password`() {
        for url in [
            "redis://:s3cret@h:x", "redis://:s3cret@h/x", "redis://u:s3cret@h?x=1", "redis://u:s3cret@[::1",
            // As a password that is not percent-encoded, or without a host.
            "redis://u:s3cret", "redis://u:12/s3cret@h", "redis://u:12?s3cret@h", "redis+unix://u:s3cret/socket",
            "redis://u:12?db=s3cret@h", "redis://[::1]s3cret",
        ] {
            let error = #expect(throws: AppError.self) { try RedisConfiguration(url: url) }
            #expect(error?.message.contains("s3cret") == false)
            #expect(error.map { String(reflecting: $0).contains("s3cret") } == false)
        }
    }

    @Test func `Properties that are not valid are named`() throws {
        func message(_ change: (inout RedisConfiguration) -> Void) -> String? {
            var configuration = RedisConfiguration(.single(.tcp(host: "h", port: 1)))
            change(&configuration)
            return #expect(throws: AppError.self) {
                try RedisClient(configuration, logger: Logger(label: "test"))
            }?.message
        }
        #expect(message { $0.clientName = "two words" }?.contains("client name") == true)
        #expect(message { $0.user = "ada" }?.contains("no password") == true)
        #expect(message { $0.connectionsPerLoop = 0 }?.contains("connectionsPerLoop") == true)
        #expect(message { $0.topology = .cluster([]) }?.contains("at least one server") == true)
        #expect(message { $0.connectTimeout = .zero }?.contains("Timeouts") == true)
        #expect(
            message { $0.tls = RedisTLS(authorities: .file("/missing.pem")) }?.contains("/missing.pem") == true)
    }
}
