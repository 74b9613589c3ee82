/// A feature of an app: its parts, routes, workers and migrations, declared in one place.
public protocol Module: Sendable {
    /// Declares the contents of the module. Nothing is built or started here.
    func configure(_ app: inout AppBuilder) throws
}

/// Builds the list of modules of an app.
@resultBuilder
public enum ModuleBuilder {
    public static func buildExpression(_ module: some Module) -> [any Module] { [module] }
    public static func buildBlock(_ modules: [any Module]...) -> [any Module] { modules.flatMap { $0 } }
    public static func buildOptional(_ modules: [any Module]?) -> [any Module] { modules ?? [] }
    public static func buildEither(first modules: [any Module]) -> [any Module] { modules }
    public static func buildEither(second modules: [any Module]) -> [any Module] { modules }
    public static func buildArray(_ modules: [[any Module]]) -> [any Module] { modules.flatMap { $0 } }
}
