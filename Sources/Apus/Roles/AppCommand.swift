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
            subcommands: [
                All.self, Serve.self, Work.self, Migrate.self, JobsCommand.self, BackUp.self, Restore.self, Check.self,
                ListRoutes.self, PrintOpenAPI.self,
            ],
            defaultSubcommand: All.self)
    }

    /// Reads a command line, without the program's name.
    ///
    /// Exits for `--help`, `--version` and malformed arguments.
    static func parse(_ arguments: [String], of app: App) -> (task: RoleTask, flags: [String]) {
        var context = Context(name: app.name, version: app.version)
        do {
            var parsed = try $context.withValue(context) { try parseAsRoot(arguments) }
            guard let command = parsed as? any RoleCommand else {
                try parsed.run()
                exit()
            }
            return (command.task, command.settings.flags)
        } catch {
            $context.withValue(context) {
                if let problem = strayWord(in: arguments) { exit(withError: ValidationError(problem)) }
            }
            // Computed only here because it configures all modules.
            context.settingsHelp = app.settingsHelp
            $context.withValue(context) { exit(withError: error) }
        }
    }

    /// Returns what is wrong with the words of a request for help: it would otherwise be answered as if they were missing.
    private static func strayWord(in arguments: [String]) -> String? {
        let words = arguments.filter { !["help", "--help", "-h", "--version"].contains($0) }
        guard let command = try? parseAsRoot(words) as? any RoleCommand else { return nil }
        return FlagArguments(command.settings.flags).problems.first
    }
}

/// The remaining arguments, which ``Settings`` reads.
struct SettingArguments: ParsableArguments {
    @Argument(
        parsing: .allUnrecognized, help: ArgumentHelp("Settings as flags: --key=value.", valueName: "settings"))
    var flags: [String] = []
}

/// A command that selects a role.
protocol RoleCommand: ParsableCommand {
    static var role: Role { get }
    /// What the role does, with its arguments.
    var task: RoleTask { get }
    var settings: SettingArguments { get }
}

extension RoleCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: role.rawValue, abstract: role.summary, discussion: AppCommand.context.settingsHelp)
    }

    var task: RoleTask { .run(Self.role) }
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

    private struct BackUp: RoleCommand {
        static let role = Role.backup
        @Argument(help: "The file to write, which must not exist.") var file: String
        @OptionGroup var settings: SettingArguments
        var task: RoleTask { .backUp(file: file) }
    }

    private struct Restore: RoleCommand {
        static let role = Role.restore
        @Argument(help: "The backup.") var file: String
        @OptionGroup var settings: SettingArguments
        var task: RoleTask { .restore(file: file) }
    }

    private struct Check: RoleCommand {
        static let role = Role.check
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

// MARK: Migrations

extension AppCommand {
    private struct Migrate: ParsableCommand {
        static var configuration: CommandConfiguration {
            CommandConfiguration(
                commandName: Role.migrate.rawValue, abstract: Role.migrate.summary,
                discussion: AppCommand.context.settingsHelp,
                subcommands: [Up.self, Down.self, Status.self, DryRun.self, New.self], defaultSubcommand: Up.self)
        }
    }

    private struct Up: MigrateCommand {
        static let (name, summary) = ("up", "Apply the migrations and exit. The default.")
        @OptionGroup var settings: SettingArguments
        var action: MigrationAction { .up }
    }

    private struct Down: MigrateCommand {
        static let (name, summary) = ("down", "Undo the migrations that were applied last, and exit.")
        @Option(help: "The number of migrations to undo.") var count = 1
        @OptionGroup var settings: SettingArguments
        var action: MigrationAction { .down(count: count) }

        func validate() throws {
            guard count > 0 else { throw ValidationError("--count must be at least 1.") }
        }
    }

    private struct Status: MigrateCommand {
        static let (name, summary) = ("status", "List the migrations and whether they are applied.")
        @OptionGroup var settings: SettingArguments
        var action: MigrationAction { .status }
    }

    private struct DryRun: MigrateCommand {
        static let (name, summary) = ("dry-run", "Print the statements of the pending migrations.")
        @OptionGroup var settings: SettingArguments
        var action: MigrationAction { .dryRun }
    }

    private struct New: MigrateCommand {
        static let (name, summary) = ("new", "Write the source of a new migration into the folder Migrations.")
        @Argument(help: "What it does, such as add-order-totals.", transform: { $0 }) var title: String
        @OptionGroup var settings: SettingArguments
        var action: MigrationAction { .new(name: title) }
    }
}

/// A command of the role `migrate`.
private protocol MigrateCommand: RoleCommand {
    static var name: String { get }
    static var summary: String { get }
    var action: MigrationAction { get }
}

extension MigrateCommand {
    static var role: Role { .migrate }
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: name, abstract: summary, discussion: AppCommand.context.settingsHelp)
    }
    var task: RoleTask { .migrate(action) }
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
