/// The parts of an app, each built once.
///
/// All parts are built before anything starts. A missing part or a circular dependency therefore fails the start, with
/// an error that shows the dependency chain.
public struct Container: Sendable {
    private let parts: [ObjectIdentifier: any Sendable]

    init(parts: [ObjectIdentifier: any Sendable]) { self.parts = parts }

    /// Returns a part by type.
    /// - Throws: A ``StartupError`` if nothing provides it.
    public func resolve<Part>(_ type: Part.Type = Part.self) throws -> Part {
        guard let part = parts[ObjectIdentifier(type)] as? Part else {
            throw StartupError(problems: ["Nothing provides \(type)."])
        }
        return part
    }
}

/// Builds the parts. Factories resolve their dependencies with it.
///
/// ```swift
/// app.provide(OrderService.self) { OrderService(orders: try $0.resolve(), jobs: try $0.resolve()) }
/// ```
public final class Resolver {
    struct Provider: Sendable {
        let name: String
        let location: String
        let make: @Sendable (Resolver) throws -> any Sendable
    }

    private let providers: [ObjectIdentifier: Provider]
    private var parts: [ObjectIdentifier: any Sendable] = [:]
    private var chain: [(id: ObjectIdentifier, name: String)] = []

    init(providers: [ObjectIdentifier: Provider]) { self.providers = providers }

    /// Returns a part by type, and builds it if necessary.
    /// - Throws: A ``StartupError`` that shows the dependency chain if the part is missing or depends on itself.
    public func resolve<Part>(_ type: Part.Type = Part.self) throws -> Part {
        let id = ObjectIdentifier(type)
        let part = try build(id, name: "\(type)")
        guard let typed = part as? Part else {
            throw StartupError(problems: ["The provider of \(type) returned a \(Swift.type(of: part))."])
        }
        return typed
    }

    private func build(_ id: ObjectIdentifier, name: String) throws -> any Sendable {
        if let part = parts[id] { return part }
        let path = (chain.map(\.name) + [name]).joined(separator: " → ")
        guard !chain.contains(where: { $0.id == id }) else {
            throw StartupError(problems: ["\(path): circular dependency."])
        }
        guard let provider = providers[id] else {
            throw StartupError(problems: ["\(path): nothing provides \(name)."])
        }
        chain.append((id, name))
        defer { chain.removeLast() }
        let part = try provider.make(self)
        parts[id] = part
        return part
    }

    /// Builds all parts.
    /// - Throws: A ``StartupError`` that lists all problems.
    func buildAll() throws -> Container {
        var problems: [String] = []
        for (id, provider) in providers.sorted(by: { $0.value.name < $1.value.name }) {
            do {
                _ = try build(id, name: provider.name)
            } catch let error as StartupError {
                for problem in error.problems where !problems.contains(problem) { problems.append(problem) }
            } catch {
                problems.append("\(provider.name), provided at \(provider.location), could not be built: \(error)")
            }
        }
        guard problems.isEmpty else { throw StartupError(problems: problems) }
        return Container(parts: parts)
    }
}
