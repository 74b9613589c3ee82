import ApusCore
import Testing

@testable import ApusPostgres

struct ConfigurationTests {
    @Test func `A URL with everything is read`() throws {
        let url =
            "postgresql://us%40er:p%3Ass@a:1234,b,[::1]:99/data%2Dbase?sslmode=verify-full&sslrootcert=/ca.pem"
            + "&target_session_attrs=read-write&application_name=app%20one&connect_timeout=3&statement_timeout=30s"
            + "&pool_size=7&shared_connections=2&prepare=off&plan_cache_mode=force_custom_plan"
            + "&direct_host=c,d:77&sslcert=/c.pem&sslkey=/k.pem&channel_binding=require"
        let configuration = try PostgresConfiguration(url: url)
        #expect(configuration.user == "us@er")
        #expect(configuration.password?.reveal() == "p:ss")
        #expect(configuration.database == "data-base")
        #expect(configuration.hosts == [.tcp("a", port: 1234), .tcp("b", port: 5432), .tcp("::1", port: 99)])
        #expect(configuration.directHosts == [.tcp("c", port: 5432), .tcp("d", port: 77)])
        #expect(configuration.tls == .verifyFull && configuration.rootCertificate == "/ca.pem")
        #expect(configuration.clientCertificate == "/c.pem" && configuration.clientKey == "/k.pem")
        #expect(configuration.channelBinding == .require && configuration.targetSession == .readWrite)
        #expect(configuration.applicationName == "app one")
        #expect(configuration.connectTimeout == .seconds(3) && configuration.statementTimeout == .seconds(30))
        #expect(configuration.poolSize == 7 && configuration.sharedConnections == 2)
        #expect(configuration.preparesStatements == false && configuration.planCacheMode == "force_custom_plan")
    }

    @Test func `The least that a URL needs is a user and a host`() throws {
        let configuration = try PostgresConfiguration(url: "postgres://me@db")
        #expect(configuration.database == "me" && configuration.password == nil && configuration.tls == .prefer)
    }

    @Test func `Unix sockets are given by their folder`() throws {
        let socket = PostgresConfiguration.Host.unixSocket(folder: "/run/pg", port: 5432)
        #expect(try PostgresConfiguration(url: "postgres://me@/db?host=/run/pg").hosts == [socket])
        #expect(try PostgresConfiguration(url: "postgres://me@%2Frun%2Fpg/db").hosts == [socket])
    }

    @Test(arguments: [
        ("mysql://me@db", "must begin with postgres://"), ("postgres://db/x", "has no user"),
        ("postgres://me@/x", "has no host"), ("postgres://me@a,,b/x", "a host is empty"),
        ("postgres://me@a:0/x", "the port \"0\""), ("postgres://me@a:x/x", "the port \"x\""),
        ("postgres://me@[::1/x", "has no \"]\""), ("postgres://me@a/x/y", "has a \"/\""),
        ("postgres://me@a/x?sslmode=on", "sslmode is \"on\", but must be one of disable, allow, prefer, require"),
        (
            "postgres://me@a/x?channel_binding=yes",
            "channel_binding is \"yes\", but must be one of disable, prefer, require"
        ),
        ("postgres://me@a/x?sslcert=/c.pem", "sslcert and sslkey must be given together"),
        ("postgres://me@a/x?ssl=true", "the parameter \"ssl\" is not known"),
        ("postgres://me@a/x?sslmode", "the parameter \"sslmode\" has no value"),
        ("postgres://me@a/x?pool_size=0", "pool_size is \"0\""),
        ("postgres://me@a/x?statement_timeout=soon", "statement_timeout is \"soon\""),
        ("postgres://me@a/x?target_session_attrs=master", "target_session_attrs is \"master\""),
        ("postgres://me@a/x?prepare=no", "prepare must be on or off"),
        ("postgres://m%zz@a/x", "the user has a \"%\""), ("postgres://m%ff@a/x", "not text in UTF-8"),
    ])
    func `A mistake in a URL is named`(url: String, mistake: String) {
        #expect {
            try PostgresConfiguration(url: url)
        } throws: {
            guard let error = $0 as? AppError else { return false }
            return error.code == .invalidArgument && error.message.contains(mistake)
        }
    }

    @Test func `An error about a URL does not contain the password`() {
        #expect {
            try PostgresConfiguration(url: "postgres://me:hunter2@a:bad/x")
        } throws: {
            !String(reflecting: $0).contains("hunter2")
        }
    }

    @Test func `The session is in UTC, and poolers get only what they know`() throws {
        var configuration = try PostgresConfiguration(url: "postgres://me@db?statement_timeout=1s")
        configuration.planCacheMode = "force_custom_plan"
        let full = configuration.startupParameters(isMinimal: false).map { "\($0.name)=\($0.value)" }
        let minimal = configuration.startupParameters(isMinimal: true).map { "\($0.name)=\($0.value)" }
        #expect(full.contains("TimeZone=UTC") && minimal.contains("TimeZone=UTC"))
        #expect(full.contains("statement_timeout=1000") && full.contains("plan_cache_mode=force_custom_plan"))
        #expect(!minimal.contains { $0.hasPrefix("statement_timeout") || $0.hasPrefix("plan_cache_mode") })
    }
}
