import ApusCore
import ApusJSON

extension Cache {
    /// Returns the value of a key, and loads and stores it if the cache does not have it.
    ///
    /// The load runs in a task of its own, without the caller's deadline, because other callers may wait for it too. It is
    /// cancelled when nobody waits for it any more, or after ``CacheOptions/loadTimeout``. Inside a transaction, which may
    /// see values that are never committed, the load runs directly and nothing is stored.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - ttl: How long the value is kept, counted from the start of the load. ``CacheOptions/ttl`` by default.
    ///   - load: Returns the value.
    /// - Throws: The error of `load`, which is not kept; `CancellationError`, or an `AppError` with code `deadlineExceeded`.
    public func value<Value: Codable & Sendable>(
        for key: CacheKey, ttl: Duration? = nil, load: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let value = try await valueIfPresent(for: key, ttl: ttl, absentTTL: .zero, load: { try await load() as Value? })
        if let value { return value }
        // Only another use of the key has stored that there is no value.
        return try await load()
    }

    /// Returns the value of a key, and loads and stores it if the cache does not have it. If there is no value, that is
    /// stored as well, for ``CacheOptions/absentTTL`` by default.
    ///
    /// See ``value(for:ttl:load:)``.
    public func valueIfPresent<Value: Codable & Sendable>(
        for key: CacheKey, ttl: Duration? = nil, absentTTL: Duration? = nil,
        load: @escaping @Sendable () async throws -> Value?
    ) async throws -> Value? {
        guard !AmbientTransaction.isActive else { return try await load() }
        let lookup = await lookUp(key)
        switch lookup.content {
        case .value(let bytes): if let value: Value = decode(bytes) { return value }
        case .absent: return nil
        case nil: break
        }
        let (ttl, absentTTL) = (ttl ?? options.ttl, absentTTL ?? options.absentTTL)
        let result = try await flights.join(key, lookup.ticket, timeout: options.loadTimeout) {
            try await self.load(key, lookup.ticket, ttl, absentTTL, load)
        }
        if let value = result as? Loaded<Value> { return value.value }
        // The other caller loads another type for the same key.
        return try await load()
    }

    private func load<Value: Codable & Sendable>(
        _ key: CacheKey, _ ticket: CacheTicket?, _ ttl: Duration, _ absentTTL: Duration,
        _ load: @Sendable () async throws -> Value?
    ) async throws -> any Sendable {
        let start = ContinuousClock.now
        let value = try await load()
        if let ticket {
            // Counted from the start of the load: the value is as old as that.
            let elapsed = start.duration(to: .now)
            // Marks of removals are kept no longer.
            guard elapsed < options.loadTimeout else { return Loaded(value: value) }
            if let value {
                if let bytes = try? JSON.Encoder.standard.encode(value) {
                    await store(.value(bytes), for: key, for: options.jittered(ttl) - elapsed, ticket)
                }
            } else {
                await store(.absent, for: key, for: options.jittered(absentTTL) - elapsed, ticket)
            }
        }
        return Loaded(value: value)
    }

    private func store(
        _ content: CacheContent, for key: CacheKey, for ttl: Duration, _ ticket: CacheTicket
    ) async {
        guard ttl > .zero else { return }
        await store(content, for: key, ttl: ttl, ticket: ticket, .unchanged)
    }

    private func decode<Value: Decodable>(_ bytes: [UInt8]) -> Value? {
        try? JSON.Decoder.standard.decode(Value.self, from: bytes)
    }

    /// Returns the value of a key, or `nil` if the cache does not have it or the task is in a transaction, which may see
    /// other values than those that are committed.
    public func get<Value: Codable & Sendable>(_ key: CacheKey, as type: Value.Type = Value.self) async -> Value? {
        guard !AmbientTransaction.isActive, case .value(let bytes)? = await lookUp(key).content else { return nil }
        return decode(bytes)
    }

    /// Stores a value. Values that are being loaded for the key at that time are not stored. Inside a transaction, whose
    /// values may never be committed, the key is removed instead.
    /// - Throws: The error of encoding the value.
    public func set(_ key: CacheKey, _ value: some Codable & Sendable, ttl: Duration? = nil) async throws {
        let bytes = try JSON.Encoder.standard.encode(value)
        let ttl = options.jittered(ttl ?? options.ttl)
        guard ttl > .zero, !AmbientTransaction.isActive else { return await remove(key) }
        flights.detach(key)
        guard let ticket = await lookUp(key).ticket else { return await remove(key) }
        await store(.value(bytes), for: key, ttl: ttl, ticket: ticket, .always)
    }

    /// Removes the value of a key. Inside a transaction it is removed now and once more after the commit, because other tasks
    /// may meanwhile have loaded what was before. That does not delay the transaction.
    public func remove(_ key: CacheKey) async {
        await remove({ self.flights.detach(key) }, { await self.remove(storedFor: key) })
    }

    /// Removes the values of all keys that begin with a prefix, at the cost of one. See ``remove(_:)``.
    /// - Parameter prefix: A prefix that ends with a colon, such as `users:`. Without a colon, one is appended.
    public func remove(prefix: String) async { await remove(group: .keys(withPrefix: prefix)) }

    /// Removes the values of all keys with a tag, at the cost of one. See ``remove(_:)``.
    public func remove(tag: String) async { await remove(group: .tag(ExactString(tag))) }

    /// Removes the values of all keys. See ``remove(_:)``.
    public func removeAll() async { await remove(group: .all) }

    private func remove(group: CacheGroup) async {
        await remove({ self.flights.detach(group) }, { await self.remove(storedIn: CacheGroupID(group)) })
    }

    private func remove(
        _ detachLoads: @escaping @Sendable () -> Void, _ removeStored: @escaping @Sendable () async -> Void
    ) async {
        @Sendable func removeNow() async {
            detachLoads()
            await removeStored()
            // Loads that have begun meanwhile may have seen what was before the removal.
            detachLoads()
        }
        await removeNow()
        guard AmbientTransaction.isActive else { return }
        UnitOfWork.afterCommit { Task.detached { await removeNow() } }
    }
}

/// The result of a load. A type of its own, so that `nil` is distinguished from a failed cast.
private struct Loaded<Value: Sendable>: Sendable {
    let value: Value?
}
