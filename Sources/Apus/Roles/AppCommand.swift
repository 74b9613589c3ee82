import ArgumentParser

/// The command line of an app: a role, then settings as flags.
struct AppCommand: ParsableCommand {
    /// The app's part of the help. Commands are described by static properties, which have no access to the app.
    struct Context: Sendable {
        var name = ""
        var version = ""
        var settingsHelp = ""
    }

    @TaskLocal static var context = Context()

    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: context.name, abstract: "Runs \(context.name): everything in one process, or one role of it.",
            discussion: context.settingsHelp, version: context.version,
            subcommands: [All.self, Serve.self, Work.self, Migrate.self, ListRoutes.self, PrintOpenAPI.self],
            defaultSubcommand: All.self)
    }

    /// Reads a command line, without the program's name.
    ///
    /// Exits for `--help`, `--version` and malformed arguments.
    static func parse(_ arguments: [String], of app: App) -> (role: Role, flags: [String]) {
        var context = Context(name: app.name, version: app.version)
        do {
            var parsed = try $context.withValue(context) { try parseAsRoot(arguments) }
            guard let command = parsed as? any RoleCommand else {
                try parsed.run()
                exit()
            }
            let flags = command.settings.flags
            return (type(of: command).role, flags)
        } catch {
            let words = FlagArguments(
                arguments.filter { !["help", "--help", "-h", "--version"].contains($0) }.dropRole())
            if let problem = words.problems.first { exit(withError: ValidationError(problem)) }
            // Computed only here because it configures all modules.
            context.settingsHelp = app.settingsHelp
            $context.withValue(context) { exit(withError: error) }
        }
    }
}

extension [String] {
    /// Returns the arguments without the role at their beginning.
    fileprivate func dropRole() -> [String] {
        guard let first, Role(rawValue: first) != nil else { return self }
        return Array(dropFirst())
    }
}

/// The remaining arguments, which ``Settings`` reads.
struct SettingArguments: ParsableArguments {
    @Argument(
        parsing: .allUnrecognized, help: ArgumentHelp("Settings as flags: --key=value.", valueName: "settings"))
    var flags: [String] = []
}

/// A command that selects a role.
private protocol RoleCommand: ParsableCommand {
    static var role: Role { get }
    var settings: SettingArguments { get }
}

extension RoleCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: role.rawValue, abstract: role.summary, discussion: AppCommand.context.settingsHelp)
    }
}

extension AppCommand {
    private struct All: RoleCommand {
        static let role = Role.all
        @OptionGroup var settings: SettingArguments
    }

    private struct Serve: RoleCommand {
        static let role = Role.serve
        @OptionGroup var settings: SettingArguments
    }

    private struct Work: RoleCommand {
        static let role = Role.worker
        @OptionGroup var settings: SettingArguments
    }

    private struct Migrate: RoleCommand {
        static let role = Role.migrate
        @OptionGroup var settings: SettingArguments
    }

    private struct ListRoutes: RoleCommand {
        static let role = Role.routes
        @OptionGroup var settings: SettingArguments
    }

    private struct PrintOpenAPI: RoleCommand {
        static let role = Role.openapi
        @OptionGroup var settings: SettingArguments
    }
}

extension App {
    /// The list of all settings in the help.
    var settingsHelp: String {
        let settings = Settings()
        _ = CommonSettings(settings, of: self)
        var builder = AppBuilder(settings: settings)
        // A module that throws has usually read its settings before that.
        for module in modules { try? module.configure(&builder) }
        return settings.help
    }
}
