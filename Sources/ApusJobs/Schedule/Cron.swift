import ApusCore

/// A schedule by a cron expression, in a time zone.
///
/// ```swift
/// let nightly = try Cron("30 3 * * *", timeZone: "Europe/Berlin")
/// let next = nightly.next(after: clock.now)
/// ```
///
/// ## Expressions
///
/// An expression has five fields, or six with the second first. Blanks or tabs separate them.
///
/// | Field            | Values | Names      |
/// | ---------------- | ------ | ---------- |
/// | second           | 0...59 |            |
/// | minute           | 0...59 |            |
/// | hour             | 0...23 |            |
/// | day of the month | 1...31 |            |
/// | month            | 1...12 | JAN to DEC |
/// | day of the week  | 0...7  | SUN to SAT |
///
/// Names may be in upper or lower case. Both 0 and 7 are Sunday. A field is a list of one or more of the following:
/// - `*`: all values.
/// - `5`: a value.
/// - `1-5`: a range. It may not be reversed: instead of `22-2`, write `22-23,0-2`. At the end of a range `SUN` is 7, so
///   that `FRI-SUN` is `5-7`.
/// - `*/15`, `8-18/2`: each n-th value, from the first on. n is at most the number of values. Steps begin anew with
///   each hour, day, month or week: `*/25` selects the minutes 0, 25 and 50.
/// - `5/15`: from 5 to the maximum by 15. For the day of the week the maximum is 7.
///
/// If neither the day of the month nor the day of the week begins with `*`, a day matches if either does, as in other
/// implementations of cron; otherwise both must: `0 0 13 * FRI` runs on each 13th and on each Friday, `0 0 */2 * FRI`
/// on the Fridays with an odd number.
///
/// The macros `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually` stand for the first
/// moment of such a period; a week begins on Sunday. `?`, `L`, `W` and `#`, which other schedulers know, are errors.
///
/// ## Changes of the clocks
///
/// If the hour begins with `*`, the schedule follows elapsed time. It runs at each moment whose local time matches:
/// `0 * * * *` runs 25 times on a day of 25 hours and 23 times on one of 23, and `*/15 * * * *` every 15 minutes.
///
/// Otherwise each local time that matches runs once, when the local clock first shows it or a later time:
/// - A local time that the clocks skip runs at the moment of the change, even if a whole day is skipped. If several
///   such times match, or the moment itself, it is one run.
/// - A local time that the clocks show twice runs the first time only.
///
/// ## Time zones
///
/// The rules of a zone come from the time zone files of the system: those in the directory of the environment variable
/// `TZDIR`, or else of the package tzdata. They are read once, when the schedule is created.
public struct Cron: Sendable {
    /// The expression, as it was given.
    public let expression: String
    /// The name of the time zone, such as `Europe/Berlin`.
    public let timeZone: String
    let schedule: LocalSchedule
    let zone: ZoneRules
}

extension Cron {
    /// Creates a schedule.
    /// - Parameters:
    ///   - expression: An expression of five or six fields, or a macro such as `@daily`. At most 1000 bytes.
    ///   - timeZone: The name of a time zone of the IANA database. `UTC`, `Etc/UTC` and `GMT` need no files.
    /// - Throws: `AppError` with the code `invalidArgument` and a message that says what is wrong if the expression is
    ///   malformed or matches no day of any year, or if the time zone is unknown or its file cannot be read.
    public init(_ expression: String, timeZone: String = "UTC") throws {
        do {
            let schedule = try LocalSchedule(expression)
            let zone = try ZoneDirectory.system.rules(named: timeZone)
            self.init(expression: expression, timeZone: timeZone, schedule: schedule, zone: zone)
        } catch let error as CronError {
            throw AppError(.invalidArgument, error.description)
        } catch let error as ZoneError {
            throw AppError(.invalidArgument, error.description)
        }
    }
}

extension Cron: Hashable {
    /// Schedules are equal if the texts of their expressions and the names of their zones are.
    public static func == (left: Cron, right: Cron) -> Bool {
        left.expression == right.expression && left.timeZone == right.timeZone
    }

    /// Hashes the expression and the name of the zone.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(expression)
        hasher.combine(timeZone)
    }
}

extension Cron: CustomStringConvertible {
    /// The expression and the zone, such as `30 3 * * * (Europe/Berlin)`.
    public var description: String { "\(expression) (\(timeZone))" }
}
