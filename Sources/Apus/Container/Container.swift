/// The parts of an app, each built once.
///
/// All are built before anything starts, so a part that is missing, or that needs itself by a detour, stops the start with
/// the chain that led there.
public struct Container: Sendable {
    private let parts: [ObjectIdentifier: any Sendable]

    init(parts: [ObjectIdentifier: any Sendable]) { self.parts = parts }

    /// A part by its type.
    /// - Throws: A ``StartupError`` when nothing provides it.
    public func resolve<Part>(_ type: Part.Type = Part.self) throws -> Part {
        guard let part = parts[ObjectIdentifier(type)] as? Part else {
            throw StartupError(problems: ["Nothing provides \(type)."])
        }
        return part
    }
}

/// Builds the parts: what a factory asks for what it needs.
///
/// ```swift
/// app.provide(OrderService.self) { OrderService(orders: try $0.resolve(), jobs: try $0.resolve()) }
/// ```
public final class Resolver {
    struct Provider: Sendable {
        let name: String
        let site: String
        let make: @Sendable (Resolver) throws -> any Sendable
    }

    private let providers: [ObjectIdentifier: Provider]
    private var parts: [ObjectIdentifier: any Sendable] = [:]
    private var chain: [(id: ObjectIdentifier, name: String)] = []

    init(providers: [ObjectIdentifier: Provider]) { self.providers = providers }

    /// A part by its type, built now if it is not there yet.
    /// - Throws: A ``StartupError`` that shows the chain when it is missing or needs itself.
    public func resolve<Part>(_ type: Part.Type = Part.self) throws -> Part {
        let id = ObjectIdentifier(type)
        let part = try build(id, name: "\(type)")
        guard let typed = part as? Part else {
            throw StartupError(problems: ["What is provided as \(type) is a \(Swift.type(of: part))."])
        }
        return typed
    }

    private func build(_ id: ObjectIdentifier, name: String) throws -> any Sendable {
        if let part = parts[id] { return part }
        let path = (chain.map(\.name) + [name]).joined(separator: " → ")
        guard !chain.contains(where: { $0.id == id }) else {
            throw StartupError(problems: ["\(path): they need each other."])
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

    /// Builds everything and reports everything that is wrong.
    func buildAll() throws -> Container {
        var problems: [String] = []
        for (id, provider) in providers.sorted(by: { $0.value.name < $1.value.name }) {
            do {
                _ = try build(id, name: provider.name)
            } catch let error as StartupError {
                for problem in error.problems where !problems.contains(problem) { problems.append(problem) }
            } catch {
                problems.append("\(provider.name), provided at \(provider.site), could not be built: \(error)")
            }
        }
        guard problems.isEmpty else { throw StartupError(problems: problems) }
        return Container(parts: parts)
    }
}
