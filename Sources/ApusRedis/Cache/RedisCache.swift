import ApusCore
public import ApusData
import NIOCore
import ServiceContextModule

/// A cache that all processes with the same Redis share.
///
/// If Redis cannot be reached or does not answer in time, values are loaded each time; the client logs that once. Removals
/// that could not be sent are kept and sent when Redis is back, before anything is read; meanwhile other processes that can
/// reach Redis may still see the values, until they expire.
///
/// Values and the generations of groups are keys with an expiry, which Redis may evict at any time: give it a limit of memory
/// and `maxmemory-policy allkeys-lru`.
public final class RedisCache: Cache {
    public let options: CacheOptions
    public let flights = CacheFlights()

    private let client: RedisClient
    private let prefix: String
    private let timeout: Duration
    private let missed: MissedRemovals
    private let faults: OutageLog

    /// How long the generation of a group is kept at least. When it expires, the values of the group are void.
    private static let generationLifetime = Duration.seconds(7 * 86_400)

    /// Creates a cache.
    /// - Parameters:
    ///   - client: The client, which must not be closed before the cache is used for the last time.
    ///   - prefix: Precedes the names of all keys in Redis. `cache:` by default.
    ///   - timeout: The maximum time to wait for Redis, after which the value counts as missing. 250 milliseconds by default.
    public init(
        _ client: RedisClient, prefix: String = "cache:", options: CacheOptions = CacheOptions(),
        timeout: Duration = .milliseconds(250)
    ) {
        self.client = client
        self.prefix = prefix
        self.options = options
        self.timeout = timeout
        missed = MissedRemovals()
        faults = OutageLog(client.core.logger)
    }

    // MARK: Lookups

    public func lookUp(_ key: CacheKey) async -> CacheLookup {
        let nothing = CacheLookup(content: nil, ticket: nil)
        guard await sendMissedRemovals() else { return nothing }
        return await attempt { try await self.read(key) } ?? nothing
    }

    private func read(_ key: CacheKey) async throws -> CacheLookup {
        let groups = key.groups
        var replies = try await values([name(of: key)] + groups.map(name(of:)))[...]
        let stored = replies.popFirst()?.text
        let entry = stored.flatMap(CacheEntry.init)
        if stored != nil, entry == nil {
            // Of another version of the framework, perhaps without an expiry. From now on, values are stored again.
            try await send([.key(key)])
            return CacheLookup(content: nil, ticket: nil)
        }
        let known = replies.map { $0.text?.getInteger(at: $0.text?.readerIndex ?? 0, as: UInt64.self) }
        let generations = known.contains(nil) ? try await create(groups, known) : known.compactMap { $0 }
        let ticket = CacheTicket(version: entry?.version ?? 0, generations: generations)
        guard let entry, entry.generations == generations else { return CacheLookup(content: nil, ticket: ticket) }
        return switch entry.kind {
        case .value: CacheLookup(content: .value(entry.value), ticket: ticket)
        case .absent: CacheLookup(content: .absent, ticket: ticket)
        case .removed: CacheLookup(content: nil, ticket: ticket)
        }
    }

    /// Reads strings: by one command, or by one for each key in a cluster, where they are on different servers.
    private func values(_ keys: [String]) async throws -> [RedisValue] {
        guard client.core.cluster != nil else {
            var command = RedisCommand("MGET")
            command.append(keys: keys)
            return try await client.send(command, deadline: deadline).elements ?? []
        }
        let commands = keys.map { key in
            var command = RedisCommand("GET")
            command.append(key: key)
            return command
        }
        return try await client.pipeline(commands, deadline: deadline)
    }

    /// Creates the generations of groups that have none, unless another process has done so meanwhile.
    private func create(_ groups: [CacheGroup], _ known: [UInt64?]) async throws -> [UInt64] {
        var commands: [RedisCommand] = []
        for (group, generation) in zip(groups, known) where generation == nil {
            var set = RedisCommand("SET")
            set.append(key: name(of: group))
            set.append(CacheEntry.bytes(of: CacheEntry.newNumber()))
            set.append("PX")
            set.append(Self.generationLifetime.redisMilliseconds)
            set.append("NX")
            commands.append(set)
        }
        for reply in try await client.pipeline(commands, deadline: deadline) {
            if case .error(let error) = reply { throw error }
        }
        return try await values(groups.map(name(of:))).map { reply in
            guard let generation = reply.text?.getInteger(at: reply.text?.readerIndex ?? 0, as: UInt64.self) else {
                // Removed again, or evicted. Number 0 is never a generation, so nothing stored with it is ever found.
                return 0
            }
            return generation
        }
    }

    // MARK: Changes

    /// Stores a value if the version of what is stored is the expected one.
    private static let compareAndSet = RedisScript(
        """
        if redis.call('GETRANGE', KEYS[1], 1, 8) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1
        """)

    public func store(
        _ content: CacheContent, for key: CacheKey, ttl: Duration, ticket: CacheTicket, _ condition: CacheCondition
    ) async {
        let (kind, value): (CacheEntry.Kind, [UInt8]) =
            switch content {
            case .value(let bytes): (.value, bytes)
            case .absent: (.absent, [])
            }
        let entry = CacheEntry(kind, version: CacheEntry.newNumber(), generations: ticket.generations, value: value)
        let stored: Void? = await attempt {
            switch condition {
            case .unchanged:
                let expected = ticket.version == 0 ? [] : CacheEntry.bytes(of: ticket.version)
                _ = try await BoundedSender(self.client, self.deadline).run(
                    Self.compareAndSet, keys: [self.name(of: key)],
                    arguments: [expected, entry.encoded, ttl.redisMilliseconds])
            case .always: _ = try await self.client.send(self.set(key, entry, ttl), deadline: self.deadline)
            }
        }
        // What has been replaced must not be found.
        if stored == nil, condition == .always { missed.add(.key(key)) }
    }

    private func set(_ key: CacheKey, _ entry: CacheEntry, _ ttl: Duration) -> RedisCommand {
        var command = RedisCommand("SET")
        command.append(key: name(of: key))
        command.append(entry.encoded)
        command.append("PX")
        command.append(ttl.redisMilliseconds)
        return command
    }

    public func remove(storedFor key: CacheKey) async { await remove(.key(key)) }

    public func remove(storedIn group: CacheGroupID) async { await remove(.group(group.group)) }

    private func remove(_ removal: MissedRemovals.Removal) async {
        if await attempt({ try await self.send([removal]) }) == nil { missed.add(removal) }
    }

    private func send(_ removals: [MissedRemovals.Removal]) async throws {
        let commands = removals.map { removal in
            switch removal {
            case .key(let key):
                return set(key, CacheEntry(.removed, version: CacheEntry.newNumber()), options.removalLifetime)
            case .group(let group):
                // The next lookup creates a new generation.
                var command = RedisCommand("DEL")
                command.append(key: name(of: group))
                return command
            }
        }
        for reply in try await client.pipeline(commands, deadline: deadline) {
            if case .error(let error) = reply { throw error }
        }
    }

    /// Sends the removals that Redis has missed.
    /// - Returns: Whether it has missed none any more.
    private func sendMissedRemovals() async -> Bool {
        guard let (removals, number) = missed.pending else { return true }
        guard await attempt({ try await self.send(removals) }) != nil else { return false }
        missed.sent(upTo: number)
        return missed.pending == nil
    }

    // MARK: Errors

    /// The task's deadline, or that of one access to Redis.
    private var deadline: NIODeadline {
        let own = NIODeadline.now() + TimeAmount(timeout)
        return min(Deadline.currentOnEventLoop ?? own, own)
    }

    private var hasTaskExpired: Bool { ServiceContext.current?.deadline?.hasPassed ?? false }

    /// Runs an operation, and turns its error into `nil`.
    private func attempt<Result>(_ operation: () async throws -> Result) async -> Result? {
        do {
            let result = try await operation()
            faults.recovered(prefix)
            return result
        } catch is CancellationError {
            return nil
        } catch let error as AppError where error.code == .unavailable {
            // The client has logged it.
            return nil
        } catch let error as AppError where error.code == .deadlineExceeded && hasTaskExpired {
            // Not for want of Redis.
            return nil
        } catch {
            faults.failed(prefix, error)
            return nil
        }
    }

    private func name(of key: CacheKey) -> String { "\(prefix)v:\(key.name)" }

    private func name(of group: CacheGroup) -> String { "\(prefix)g:\(group.name)" }
}

/// Runs commands with a deadline.
private struct BoundedSender: RedisCommands {
    let client: RedisClient
    let deadline: NIODeadline

    init(_ client: RedisClient, _ deadline: NIODeadline) {
        self.client = client
        self.deadline = deadline
    }

    func send(_ command: RedisCommand) async throws -> RedisValue { try await client.send(command, deadline: deadline) }
}
