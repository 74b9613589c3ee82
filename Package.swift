// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "apus",
    platforms: [.macOS("26.0")],
    products: [
        .library(name: "Apus", targets: ["Apus"]),
        .library(name: "ApusCore", targets: ["ApusCore"]),
        .library(name: "ApusJSON", targets: ["ApusJSON"]),
        .library(name: "ApusHTTP", targets: ["ApusHTTP"]),
        .library(name: "ApusHTTPClient", targets: ["ApusHTTPClient"]),
        .library(name: "ApusServer", targets: ["ApusServer"]),
        .library(name: "ApusWebSocket", targets: ["ApusWebSocket"]),
        .library(name: "ApusGRPC", targets: ["ApusGRPC"]),
        .library(name: "ApusGRPCClient", targets: ["ApusGRPCClient"]),
        .library(name: "ApusAuth", targets: ["ApusAuth"]),
        .library(name: "ApusRateLimit", targets: ["ApusRateLimit"]),
        .library(name: "ApusData", targets: ["ApusData"]),
        .library(name: "ApusSQLite", targets: ["ApusSQLite"]),
        .library(name: "ApusRedis", targets: ["ApusRedis"]),
        .library(name: "ApusPostgres", targets: ["ApusPostgres"]),
        .library(name: "ApusJobs", targets: ["ApusJobs"]),
        .library(name: "ApusLogging", targets: ["ApusLogging"]),
        .library(name: "ApusTesting", targets: ["ApusTesting"]),
        .executable(name: "delivery-tracker", targets: ["DeliveryTracker"]),
        .executable(name: "protoc-gen-apus", targets: ["protoc-gen-apus"]),
    ],
    traits: [
        .default(enabledTraits: ["GRPC", "Zstandard"]),
        .trait(name: "GRPC", description: "gRPC services in Apus. Without it, Apus needs no gRPC and no protobuf."),
        .trait(name: "Zstandard", description: "The content coding zstd. Without it, libzstd is not needed."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-service-context.git", from: "1.5.0"),
        .package(
            url: "https://github.com/apple/swift-configuration.git", from: "1.4.0",
            traits: ["CommandLineArguments", "YAML"]),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.7.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/vapor/jwt-kit.git", from: "5.7.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.9.0"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf.git", from: "2.4.0"),
        .package(url: "https://github.com/apple/swift-protobuf.git", from: "1.39.0"),
    ],
    targets: [
        // Floor 0: pure. No sockets, no database, no Foundation beyond FoundationEssentials.
        .target(
            name: "ApusCore",
            dependencies: [.product(name: "ServiceContextModule", package: "swift-service-context")]),
        .target(name: "ApusJSON", dependencies: ["ApusCore"]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // Floor 1: one capability each. Imports go down, never up.
        .target(
            name: "ApusHTTP",
            dependencies: [
                "ApusCore", "ApusJSON", "CZlib",
                .target(name: "CZstd", condition: .when(traits: ["Zstandard"])),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                // For its thread pool alone, which is bounded and shared: files and large bodies to compress block.
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
            ]),
        .target(
            name: "ApusServer",
            dependencies: [
                "ApusCore", "ApusHTTP",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        .target(
            name: "ApusHTTPClient",
            dependencies: [
                "ApusCore", "ApusHTTP",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        .target(
            name: "ApusWebSocket",
            dependencies: [
                "ApusCore", "ApusData", "ApusHTTP",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .target(
            name: "ApusGRPC",
            dependencies: [
                "ApusCore", "ApusHTTP", "ApusJSON",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Protos"]),
        .target(
            name: "ApusGRPCClient",
            dependencies: [
                "ApusCore",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "Instrumentation", package: "swift-distributed-tracing"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        .executableTarget(
            name: "protoc-gen-apus",
            dependencies: [
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "SwiftProtobufPluginLibrary", package: "swift-protobuf"),
            ],
            exclude: ["Protos"]),
        .target(
            name: "ApusAuth",
            dependencies: [
                "ApusCore", "ApusHTTP", "ApusJSON",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "JWTKit", package: "jwt-kit"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .target(
            name: "ApusRateLimit",
            dependencies: [
                "ApusCore", "ApusHTTP",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]),
        .target(
            name: "ApusData",
            dependencies: [
                "ApusCore", "ApusJSON",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
            ]),
        // Says what to install where SQLite's header is missing.
        .target(name: "CSQLiteHeader"),
        .target(
            name: "ApusSQLite",
            dependencies: [
                "ApusCore", "ApusData", "CSQLiteHeader",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        .target(
            name: "ApusRedis",
            dependencies: [
                "ApusCore", "ApusData", "ApusRateLimit",
                // For SHA-1 alone, by which servers know scripts.
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
            ]),
        .target(
            name: "ApusPostgres",
            dependencies: [
                "ApusCore", "ApusData",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
            ]),
        .target(
            name: "ApusJobs",
            dependencies: [
                "ApusCore", "ApusData", "ApusJSON",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        .target(
            name: "ApusLogging",
            dependencies: ["ApusCore", .product(name: "Logging", package: "swift-log")]),

        // Floor 2: what a user imports.
        .target(
            name: "Apus",
            dependencies: [
                "ApusAuth", "ApusCore", "ApusData", "ApusHTTP", "ApusJSON", "ApusJobs", "ApusLogging",
                "ApusRateLimit", "ApusServer", "ApusWebSocket",
                .target(name: "ApusGRPC", condition: .when(traits: ["GRPC"])),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRPCCore", package: "grpc-swift-2", condition: .when(traits: ["GRPC"])),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            resources: [
                .embedInCode("Docs/docs.html"), .embedInCode("Docs/docs.js"), .embedInCode("Docs/docs.css"),
                .embedInCode("JobDashboard/jobs.html"), .embedInCode("JobDashboard/jobs.js"),
                .embedInCode("JobDashboard/jobs.css"),
            ]),
        .target(
            name: "ApusTesting",
            dependencies: [
                "Apus",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
            ]),
        .target(name: "Geography", path: "Examples/DeliveryTracker/Geography/Sources"),
        .executableTarget(
            name: "DeliveryTracker",
            dependencies: [
                "Apus", "ApusCore", "ApusPostgres", "ApusRedis", "ApusSQLite", "Geography",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Examples/DeliveryTracker/Sources",
            resources: [.embedInCode("Map/map.html")]),

        // Measurements: see Benchmarks/ and Documentation/Performance.md.
        .executableTarget(
            name: "bench-server",
            dependencies: [
                "Apus", "ApusGRPC", "ApusPostgres", "ApusSQLite", "ApusServer",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Benchmarks/Server",
            exclude: ["Protos"]),
        .target(name: "AllocationCounter", path: "Benchmarks/AllocationCounter"),
        .executableTarget(
            name: "bench-parts",
            dependencies: [
                "AllocationCounter", "Apus", "ApusJSON", "ApusServer",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Benchmarks/Parts"),
        .executableTarget(
            name: "bench-data",
            dependencies: [
                "ApusCore", "ApusData", "ApusPostgres", "ApusRedis", "ApusSQLite",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Benchmarks/Data",
            exclude: ["Peers"]),
        .executableTarget(
            name: "bench-jobs",
            dependencies: [
                "ApusCore", "ApusData", "ApusJobs", "ApusPostgres", "ApusSQLite",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Benchmarks/Jobs"),

        // Hostile bytes for the parsers: see Fuzzing/run.
        .executableTarget(
            name: "fuzz-parsers",
            dependencies: [
                "ApusHTTP", "ApusJSON", "ApusRedis", "ApusServer", "ApusWebSocket",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Fuzzing",
            exclude: ["Corpus", "run"]),

        // Tests mirror the targets.
        .testTarget(
            name: "ApusCoreTests",
            dependencies: ["ApusCore", .product(name: "ServiceContextModule", package: "swift-service-context")]),
        .target(
            name: "InteropService",
            dependencies: [
                "ApusCore", "ApusGRPC", "ApusHTTP",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            path: "Tests/InteropService",
            exclude: ["Protos"]),
        .executableTarget(
            name: "interop-server", dependencies: ["Apus", "ApusWebSocket", "InteropService"],
            path: "Tests/InteropServer"),
        .testTarget(
            name: "ApusGRPCTests",
            dependencies: [
                "Apus", "ApusCore", "ApusGRPC", "ApusGRPCClient", "ApusHTTP", "ApusRateLimit", "ApusSQLite",
                "ApusTesting",
                "InteropService",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        .testTarget(
            name: "ProtocGenApusTests",
            dependencies: [
                "protoc-gen-apus",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "SwiftProtobufPluginLibrary", package: "swift-protobuf"),
            ]),
        .testTarget(name: "ApusJSONTests", dependencies: ["ApusJSON"], exclude: ["Corpus"]),
        .testTarget(
            name: "ApusHTTPTests",
            dependencies: [
                "ApusCore", "ApusHTTP", "ApusJSON",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .testTarget(
            name: "ApusServerTests",
            dependencies: [
                "ApusCore", "ApusHTTP", "ApusServer", "ApusTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "X509", package: "swift-certificates"),
            ],
            exclude: ["Corpus"]),
        .testTarget(
            name: "ApusHTTPClientTests",
            dependencies: [
                "Apus", "ApusCore", "ApusHTTPClient", "ApusTesting",
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        .testTarget(
            name: "ApusWebSocketTests",
            dependencies: [
                "Apus", "ApusCore", "ApusData", "ApusTesting", "ApusWebSocket",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        // The processes that share a database with each other in the tests of ApusSQLite.
        .executableTarget(
            name: "sqlite-writer", dependencies: ["ApusCore", "ApusData", "ApusSQLite"], path: "Tests/SQLiteWriter"),
        .testTarget(
            name: "ApusDataTests",
            dependencies: [
                "ApusCore", "ApusData", "ApusPostgres", "ApusSQLite", "ApusTesting", "sqlite-writer",
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        .testTarget(
            name: "ApusRedisTests",
            dependencies: [
                "Apus", "ApusCore", "ApusData", "ApusPostgres", "ApusRateLimit", "ApusRedis", "ApusTesting",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .testTarget(
            name: "ApusPostgresTests",
            dependencies: [
                "ApusCore", "ApusData", "ApusPostgres", "ApusTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        .testTarget(
            name: "ApusJobsTests",
            dependencies: [
                "ApusCore", "ApusData", "ApusJobs", "ApusPostgres", "ApusSQLite", "ApusTesting",
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ]),
        .testTarget(
            name: "ApusAuthTests",
            dependencies: [
                "ApusAuth", "ApusCore", "ApusHTTP", "ApusJSON", "ApusTesting",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ]),
        .testTarget(
            name: "ApusRateLimitTests",
            dependencies: [
                "ApusCore", "ApusHTTP", "ApusRateLimit", "ApusTesting",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ]),
        .testTarget(
            name: "ApusLoggingTests",
            dependencies: ["ApusLogging", .product(name: "Logging", package: "swift-log")]),
        .testTarget(
            name: "ApusTests",
            dependencies: ["Apus", "ApusHTTPClient", "ApusJSON", "ApusPostgres", "ApusSQLite", "ApusTesting"]),
        .testTarget(
            name: "DeliveryTrackerTests",
            dependencies: [
                "Apus", "ApusCore", "ApusJSON", "ApusPostgres", "ApusSQLite", "ApusTesting", "DeliveryTracker",
                "Geography",
            ],
            path: "Examples/DeliveryTracker/Tests"),
        .testTarget(
            name: "GeographyTests", dependencies: ["Geography"], path: "Examples/DeliveryTracker/Geography/Tests",
            resources: [.copy("Fixtures")]),
    ]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .swiftLanguageMode(.v6),
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ]
}
