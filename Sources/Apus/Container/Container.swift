import Synchronization

/// The parts of an app, each built once.
///
/// Factories resolve the parts that they need with it, and so do routes, workers and services:
///
/// ```swift
/// app.provide((any OrderRepository).self) { SQLOrderRepository(database: try $0.resolve()) }
/// app.provide(OrderService.self) { OrderService(orders: try $0.resolve(), jobs: try $0.resolve()) }
/// app.routes { routes, container in OrderRoutes(orders: try container.resolve()).add(to: routes) }
/// ```
///
/// All parts are built before anything starts. A missing part or a circular dependency therefore fails the start, with
/// an error that shows the dependency chain.
public struct Container: Sendable {
    /// How a part is built, and where that is declared.
    struct Provider: Sendable {
        let name: String
        let location: String
        let make: @Sendable (Container) throws -> any Sendable
    }

    private let parts: Parts
    /// The part whose factory received this container, after the parts that are waiting for it. Each factory receives a
    /// container of its own, so that one which is kept and used by another thread cannot mistake its chain.
    private let chain: [(id: ObjectIdentifier, name: String)]

    private init(_ parts: Parts, chain: [(id: ObjectIdentifier, name: String)]) {
        self.parts = parts
        self.chain = chain
    }

    /// Builds all parts.
    /// - Throws: A ``StartupError`` that lists all problems.
    init(building providers: [ObjectIdentifier: Provider]) throws {
        self.init(Parts(providers), chain: [])
        var problems: [String] = []
        for (id, provider) in providers.sorted(by: { $0.value.name < $1.value.name }) {
            do throws(StartupError) {
                _ = try build(id, name: provider.name)
            } catch {
                for problem in error.problems where !problems.contains(problem) { problems.append(problem) }
            }
        }
        guard problems.isEmpty else { throw StartupError(problems: problems) }
    }

    /// Returns a part by type. In a factory, the part is built first if necessary.
    /// - Throws: A ``StartupError`` that shows the dependency chain if the part is missing, depends on itself, or could
    ///   not be built.
    public func resolve<Part>(_ type: Part.Type = Part.self) throws -> Part {
        let part = try build(ObjectIdentifier(type), name: "\(type)")
        guard let typed = part as? Part else {
            throw StartupError(problems: ["The provider of \(type) returned a \(Swift.type(of: part))."])
        }
        return typed
    }

    /// Returns a part, which is built by the first call.
    private func build(_ id: ObjectIdentifier, name: String) throws(StartupError) -> any Sendable {
        if let outcome = parts.outcome(of: id) { return try outcome.get() }
        let path = (chain.map(\.name) + [name]).joined(separator: " → ")
        guard !chain.contains(where: { $0.id == id }) else {
            throw StartupError(problems: ["\(path): circular dependency."])
        }
        guard let provider = parts.providers[id] else {
            throw StartupError(
                problems: [chain.isEmpty ? "Nothing provides \(name)." : "\(path): nothing provides \(name)."])
        }
        let outcome: Outcome
        do {
            outcome = .success(try provider.make(Container(parts, chain: chain + [(id: id, name: name)])))
        } catch let error as StartupError {
            outcome = .failure(error)
        } catch {
            outcome = .failure(
                StartupError(problems: ["\(path), provided at \(provider.location), could not be built: \(error)"]))
        }
        return try parts.keep(outcome, of: id).get()
    }
}

/// A part, or why it could not be built. A failure is kept as well: its factory is not called again, and the problem is
/// reported once, however many parts need it.
private typealias Outcome = Result<any Sendable, StartupError>

/// The parts that have been built. The lock is not held while a factory runs, because factories resolve other parts.
private final class Parts: Sendable {
    let providers: [ObjectIdentifier: Container.Provider]
    private let outcomes = Mutex<[ObjectIdentifier: Outcome]>([:])

    init(_ providers: [ObjectIdentifier: Container.Provider]) { self.providers = providers }

    func outcome(of id: ObjectIdentifier) -> Outcome? { outcomes.withLock { $0[id] } }

    /// Keeps the outcome and returns it, or the earlier one if another thread has built the part in the meantime.
    func keep(_ outcome: Outcome, of id: ObjectIdentifier) -> Outcome {
        outcomes.withLock { outcomes in
            let kept = outcomes[id] ?? outcome
            outcomes[id] = kept
            return kept
        }
    }
}
