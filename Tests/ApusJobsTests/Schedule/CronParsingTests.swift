import ApusCore
import FoundationEssentials
import Testing

@testable import ApusJobs

@Suite struct CronParsingTests {
    @Test(arguments: [
        (CronField.minute, "*", Array(0...59)),
        (.minute, "0", [0]),
        (.minute, "05,59", [5, 59]),
        (.minute, "7,5,5-6", [5, 6, 7]),
        (.minute, "*/15", [0, 15, 30, 45]),
        (.minute, "*/25", [0, 25, 50]),
        (.minute, "*/60", [0]),
        (.minute, "5/15", [5, 20, 35, 50]),
        (.minute, "59/1", [59]),
        (.minute, "10-20/5", [10, 15, 20]),
        (.minute, "10-20/11", [10]),
        (.minute, "3-3", [3]),
        (.minute, "*/30,1", [0, 1, 30]),
        (.hour, "8-18/2", [8, 10, 12, 14, 16, 18]),
        (.dayOfMonth, "*/10", [1, 11, 21, 31]),
        (.dayOfMonth, "31", [31]),
        (.month, "jan,Feb,DEC", [1, 2, 12]),
        (.month, "MAR-may", [3, 4, 5]),
        (.month, "JUL-9/2", [7, 9]),
        (.month, "*/12", [1]),
        (.month, "feb/5", [2, 7, 12]),
        (.dayOfWeek, "*", Array(0...6)),
        (.dayOfWeek, "0", [0]),
        (.dayOfWeek, "7", [0]),
        (.dayOfWeek, "0,7", [0]),
        (.dayOfWeek, "0-7", Array(0...6)),
        (.dayOfWeek, "5-7", [0, 5, 6]),
        (.dayOfWeek, "5-7/2", [0, 5]),
        (.dayOfWeek, "*/2", [0, 2, 4, 6]),
        (.dayOfWeek, "1/2", [0, 1, 3, 5]),
        (.dayOfWeek, "Mon-fri", [1, 2, 3, 4, 5]),
        (.dayOfWeek, "sun-TUE", [0, 1, 2]),
        (.dayOfWeek, "FRI-SUN", [0, 5, 6]),
        (.dayOfWeek, "SUN-SUN", [0]),
        (.dayOfWeek, "MON-3", [1, 2, 3]),
    ])
    func `A field selects its values`(field: CronField, text: String, values: [Int]) throws {
        let parsed = try CronValues(text[...], of: field)
        #expect((0..<64).filter { parsed.contains($0) } == values)
    }

    @Test(arguments: [
        ("61 * * * *", "The minute \"61\" of the cron expression \"61 * * * *\" is not in 0...59."),
        ("60 * * * * *", "The second \"60\" of the cron expression \"60 * * * * *\" is not in 0...59."),
        ("0 24 * * *", "The hour \"24\" of the cron expression \"0 24 * * *\" is not in 0...23."),
        ("0 0 0 * *", "The day of the month \"0\" of the cron expression \"0 0 0 * *\" is not in 1...31."),
        ("0 0 * 1,13 *", "The month \"13\" of the cron expression \"0 0 * 1,13 *\" is not in 1...12."),
        ("0 0 * * 8", "The day of the week \"8\" of the cron expression \"0 0 * * 8\" is not in 0...7."),
        ("x * * * *", "The minute \"x\" of the cron expression \"x * * * *\" is not a number in 0...59."),
        (
            "0 0 * JUNE *",
            "The month \"JUNE\" of the cron expression \"0 0 * JUNE *\" is neither a number in 1...12 nor a name from "
                + "JAN to DEC."
        ),
        (
            "0 0 * * JAN",
            "The day of the week \"JAN\" of the cron expression \"0 0 * * JAN\" is neither a number in 0...7 nor a "
                + "name from SUN to SAT."
        ),
        (
            "1,,2 * * * *",
            "The minute \"1,,2\" of the cron expression \"1,,2 * * * *\" has an empty item. Write one comma between "
                + "two values."
        ),
        (
            "0 22-2 * * *",
            "The hour \"22-2\" of the cron expression \"0 22-2 * * *\" is a reversed range. Write \"22-23,0-2\"."
        ),
        (
            "0 0 * * SAT-MON",
            "The day of the week \"SAT-MON\" of the cron expression \"0 0 * * SAT-MON\" is a reversed range. Write "
                + "\"6-7,0-1\"."
        ),
        (
            "*/0 * * * *",
            "The minute \"*/0\" of the cron expression \"*/0 * * * *\" has a step that is not in 1...60: without a "
                + "step, it has 60 values."
        ),
        (
            "*/x * * * *",
            "The minute \"*/x\" of the cron expression \"*/x * * * *\" has a step that is not in 1...60: without a "
                + "step, it has 60 values."
        ),
        (
            "0 8-10/4 * * *",
            "The hour \"8-10/4\" of the cron expression \"0 8-10/4 * * *\" has a step that is not in 1...3: without "
                + "a step, it has 3 values."
        ),
        (
            "0000000000 * * * *",
            "The minute \"0000000000\" of the cron expression \"0000000000 * * * *\" has more than 9 digits. It must "
                + "be in 0...59."
        ),
        (
            "0 0 L * *",
            "The day of the month \"L\" of the cron expression \"0 0 L * *\" uses \"L\", which is not supported. Write "
                + "values, ranges, steps or \"*\"."
        ),
        (
            "* * * *",
            "The cron expression \"* * * *\" has 4 fields, not 5 (minute, hour, day of the month, month, day of the "
                + "week) or 6 (the second first)."
        ),
        (
            "@reboot",
            "The cron expression \"@reboot\" is not known. There are @hourly, @daily, @midnight, @weekly, @monthly, "
                + "@yearly and @annually."
        ),
        ("0 0 30 2 *", "The cron expression \"0 0 30 2 *\" never matches: none of its months has such a day."),
    ])
    func `An error says which part is wrong and what would be right`(expression: String, message: String) {
        let error = #expect(throws: AppError.self) { try Cron(expression) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message == message)
    }

    @Test(arguments: [
        "", " ", "\t", "*", "* * * * * * *", "*\n* * * *", "* * * *\n*", "* * * *\u{A0}*", "* * * * *\0", "@", "@Daily",
        "@daily @daily", "@every 5m", "+5 * * * *", "-5 * * * *", "5- * * * *", "1--5 * * * *", "1-2-3 * * * *",
        "*-5 * * * *",
        "** * * * *", "*5 * * * *", "5* * * * *", "/5 * * * *", "*/ * * * *", "*/5/5 * * * *", "*/-5 * * * *",
        "*/+5 * * * *", "*/x * * * *", "*/* * * * *", "*/61 * * * *", "5/56 * * * *", ", * * * *", ",1 * * * *",
        "1, * * * *", "1.5 * * * *", "0x1 * * * *", "1e1 * * * *", "٣ * * * *", "５ * * * *", "1\u{301} * * * *",
        "0 0 * ﬀ *", "0 0 * * ſun", "0 0 * * frı", "0 0 * * MO", "0 0 * * MONDAY", "MON * * * *", "0 0 MON * *",
        "99999999999999999999 * * * *", "*/99999999999999999999 * * * *", "1-9223372036854775808 * * * *",
        "0 0 32 * *", "0 0 * * 7-0", "0 0 * * 6-0", "0 0 * DEC-JAN *", "\u{FFFD} * * * *", "* * * * * 🦅",
    ])
    func `An expression that breaks the grammar is rejected`(expression: String) {
        #expect(throws: AppError.self) { try Cron(expression) }
    }

    @Test(arguments: [
        ("0 0 ? * *", "\"?\""), ("0 0 L * *", "\"L\""), ("0 0 l * *", "\"l\""), ("0 0 L-3 * *", "\"L\""),
        ("0 0 15W * *", "\"W\""), ("0 0 LW * *", "\"L\""), ("0 0 * * 5L", "\"L\""), ("0 0 * * 1#2", "\"#\""),
        ("0 0 * * MON#2", "\"#\""), ("0 0 * * ?", "\"?\""), ("?/5 * * * *", "\"?\""),
    ])
    func `An extension of other schedulers is rejected by name`(expression: String, part: String) {
        let error = #expect(throws: AppError.self) { try Cron(expression) }
        #expect(error?.message.contains(part) == true)
    }

    @Test(arguments: ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30-31 FEB */1", "0 0 31 4 */2"])
    func `An expression whose days do not exist is rejected`(expression: String) throws {
        #expect(throws: AppError.self) { try Cron(expression) }
    }

    @Test func `An expression may have 1000 bytes`() throws {
        let fields = "0 0 * * 0"
        let blanks = String(repeating: " ", count: 1000 - fields.utf8.count)
        #expect(throws: Never.self) { try Cron(blanks + fields) }
        #expect(throws: AppError.self) { try Cron(blanks + " " + fields) }
        #expect(throws: AppError.self) { try Cron(String(repeating: "*,", count: 10_000_000)) }
    }

    @Test func `A list of every value of every field fits`() throws {
        let lists = CronField.allCases.map { field in field.range.map(String.init).joined(separator: ",") }
        #expect(throws: Never.self) { try Cron(lists.joined(separator: " ")) }
    }

    @Test func `An expression that is cut off is rejected or another expression that runs`() {
        let expression = "*/5 0-59/7 8,10-12 1 JAN-jul/2 MON-FRI"
        let complete = (0...expression.count).compactMap { try? Cron(String(expression.prefix($0))) }
        #expect(complete.map(\.expression) == ["*/5 0-59/7 8,10-12 1 JAN-jul/2 MON", expression])
        #expect(complete.allSatisfy { $0.next(after: .distantPast) != nil })
    }

    @Test func `An unknown time zone is an error`() {
        let error = #expect(throws: AppError.self) { try Cron("@daily", timeZone: "../etc/passwd") }
        #expect(
            error?.message == """
                The time zone "../etc/passwd" is not a name such as "Europe/Berlin": at most 100 letters, digits, "_", \
                "+" and "-", in parts separated by "/".
                """)
    }

    @Test func `Schedules are equal if their texts are`() throws {
        #expect(try Cron("0 0 * * *") == Cron("0 0 * * *", timeZone: "UTC"))
        #expect(try Cron("0 0 * * *") != Cron("@daily"))
        #expect(try Cron("0 0 * * *") != Cron("0 0 * * *", timeZone: "GMT"))
        #expect(try Set([Cron("@daily"), Cron("@daily"), Cron("@hourly")]).count == 2)
    }

    @Test func `A schedule is described by its expression and its zone`() throws {
        #expect(try "\(Cron("30 3 * * *", timeZone: "Etc/UTC"))" == "30 3 * * * (Etc/UTC)")
    }
}
