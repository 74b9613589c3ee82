import ApusCore
import ApusRedis
import Logging
import Synchronization

/// Counts from several tasks.
final class Counter: Sendable {
    private let value = Atomic(0)

    var count: Int { value.load(ordering: .sequentiallyConsistent) }

    func increment() { value.add(1, ordering: .sequentiallyConsistent) }
}

/// Repeats an operation that throws until it succeeds, at most for a minute.
func eventually<Result>(_ operation: () async throws -> Result) async throws -> Result {
    let end = ContinuousClock.now + .seconds(60)
    while true {
        do {
            return try await operation()
        } catch  where ContinuousClock.now < end {
            // Another process gets there; it does not say when.
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

/// Repeats a check of another process until it holds, at most for a minute.
func eventually(_ condition: () async throws -> Bool) async throws {
    struct NotYet: Error {}
    try await eventually { () async throws -> Void in
        guard try await condition() else { throw NotYet() }
    }
}

/// Keeps the messages of a logger, with their level.
struct CapturingLogHandler: LogHandler {
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func append(_ line: String) { lines.withLock { $0.append(line) } }
    }

    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let metadata = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " ")
        lines.append("\(event.level): \(event.message) \(metadata)")
    }
}

/// Builds a command from words, the first of the arguments being a key.
func command(_ name: String, key: String? = nil, _ arguments: String...) -> RedisCommand {
    var command = RedisCommand(named: name)
    if let key { command.append(key: key) }
    for argument in arguments { command.append(argument) }
    return command
}
