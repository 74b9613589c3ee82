import ApusCore
import ApusJobs
import ArgumentParser

/// What the role `jobs` does.
enum JobsAction: Sendable, Hashable {
    case status
    case list(JobFilter, limit: Int)
    case show(JobRecord.ID)
    case retry([JobRecord.ID])
    case retryDiscarded(JobFilter)
    case cancel([JobRecord.ID])
    case delete([JobRecord.ID])
    case pause(queue: String)
    case resume(queue: String)
}

/// Which jobs are meant.
struct JobFilter: Sendable, Hashable {
    var state = JobState.discarded
    var kind: String?
    var queue: String?
    var tag: String?
}

/// The commands of the role `jobs`.
struct JobsCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: Role.jobs.rawValue, abstract: Role.jobs.summary, discussion: AppCommand.context.settingsHelp,
            subcommands: [
                Status.self, List.self, Show.self, Retry.self, Cancel.self, Delete.self, Pause.self, Resume.self,
            ], defaultSubcommand: Status.self)
    }
}

/// A command of the role `jobs`.
private protocol JobsSubcommand: RoleCommand {
    static var name: String { get }
    static var summary: String { get }
    var action: JobsAction { get }
}

extension JobsSubcommand {
    static var role: Role { .jobs }
    var task: RoleTask { .jobs(action) }
    static var configuration: CommandConfiguration {
        CommandConfiguration(commandName: name, abstract: summary, discussion: AppCommand.context.settingsHelp)
    }
}

extension JobsCommand {
    private struct Status: JobsSubcommand {
        static let (name, summary) = ("status", "Show queues, processes and schedules. The default.")
        @OptionGroup var settings: SettingArguments
        var action: JobsAction { .status }
    }

    private struct List: JobsSubcommand {
        static let (name, summary) = ("list", "List jobs in a state.")
        @Option(
            help: "waiting, available, running, completed, cancelled or discarded (dead letters).",
            transform: JobsCommand.state)
        var state = JobState.discarded
        @Option(help: "Only jobs of this kind.") var kind: String?
        @Option(help: "Only jobs of this queue.") var queue: String?
        @Option(help: "Only jobs with this tag.") var tag: String?
        @Option(help: "The maximum number of jobs.") var limit = 50
        @OptionGroup var settings: SettingArguments
        var action: JobsAction { .list(JobFilter(state: state, kind: kind, queue: queue, tag: tag), limit: limit) }

        func validate() throws {
            guard limit > 0 else { throw ValidationError("--limit must be at least 1.") }
        }
    }

    private struct Show: JobsSubcommand {
        static let (name, summary) = ("show", "Show a job, with its arguments and the errors of its attempts.")
        @Argument(help: "The id of the job.", transform: JobsCommand.id) var id: JobRecord.ID
        @OptionGroup var settings: SettingArguments
        var action: JobsAction { .show(id) }
    }

    private struct Retry: JobsSubcommand {
        static let (name, summary) = ("retry", "Give jobs, or all dead letters, their attempts again.")
        @OptionGroup var jobs: JobArguments
        @Flag(help: "Retry all dead letters, or those of a kind or a queue.") var discarded = false
        @Option(help: "With --discarded: only those of this kind.") var kind: String?
        @Option(help: "With --discarded: only those of this queue.") var queue: String?
        var settings: SettingArguments { jobs.settings }
        var action: JobsAction { discarded ? .retryDiscarded(JobFilter(kind: kind, queue: queue)) : .retry(jobs.ids) }

        func validate() throws {
            try jobs.check(areRequired: false)
            guard jobs.ids.isEmpty == discarded else {
                throw ValidationError("Name the jobs to retry, or pass --discarded to retry all dead letters.")
            }
            guard discarded || kind == nil && queue == nil else {
                throw ValidationError("--kind and --queue select dead letters; pass --discarded as well.")
            }
        }
    }

    private struct Cancel: JobsSubcommand {
        static let (name, summary) = ("cancel", "Cancel jobs that are not done.")
        @OptionGroup var jobs: JobArguments
        var settings: SettingArguments { jobs.settings }
        var action: JobsAction { .cancel(jobs.ids) }

        func validate() throws { try jobs.check(areRequired: true) }
    }

    private struct Delete: JobsSubcommand {
        static let (name, summary) = ("delete", "Delete jobs that are done.")
        @OptionGroup var jobs: JobArguments
        var settings: SettingArguments { jobs.settings }
        var action: JobsAction { .delete(jobs.ids) }

        func validate() throws { try jobs.check(areRequired: true) }
    }

    private struct Pause: JobsSubcommand {
        static let (name, summary) = ("pause", "Stop all processes from starting jobs of a queue.")
        @Argument(help: "The name of the queue.") var queue: String
        @OptionGroup var settings: SettingArguments
        var action: JobsAction { .pause(queue: queue) }
    }

    private struct Resume: JobsSubcommand {
        static let (name, summary) = ("resume", "Let all processes start jobs of a queue again.")
        @Argument(help: "The name of the queue.") var queue: String
        @OptionGroup var settings: SettingArguments
        var action: JobsAction { .resume(queue: queue) }
    }
}

/// The ids of jobs and the settings, which the parser cannot tell apart.
struct JobArguments: ParsableArguments {
    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("The ids of jobs, and settings as flags: --key=value.", valueName: "ids"))
    var words: [String] = []

    var ids: [JobRecord.ID] { words.compactMap { JobRecord.ID($0) } }

    var settings: SettingArguments {
        var settings = SettingArguments()
        settings.flags = words.filter { $0.hasPrefix("-") }
        return settings
    }

    func check(areRequired: Bool) throws {
        for word in words where !word.hasPrefix("-") { _ = try JobsCommand.id(word) }
        guard !areRequired || !ids.isEmpty else { throw ValidationError("Name at least one job by its id.") }
    }
}

extension JobsCommand {
    fileprivate static func id(_ text: String) throws -> JobRecord.ID {
        guard let id = JobRecord.ID(text) else { throw ValidationError("\"\(text)\" is not the id of a job.") }
        return id
    }

    private static func state(_ text: String) throws -> JobState {
        guard let state = JobState(rawValue: text) else {
            let states = JobState.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("\"\(text)\" is not a state of jobs; the states are \(states).")
        }
        return state
    }
}
