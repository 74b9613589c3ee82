/// Why a text is not a cron expression.
enum CronError: Error, CustomStringConvertible {
    case tooLong(Int)
    case unknownMacro(String)
    case fieldCount(Int, expression: String)
    case malformedField(CronFieldError, expression: String)
    case neverMatches(expression: String)

    var description: String {
        switch self {
        case .tooLong(let count):
            "The cron expression has \(count) bytes. At most \(LocalSchedule.maximumBytes) are allowed."
        case .unknownMacro(let text):
            "The cron expression \"\(text)\" is not known. There are @hourly, @daily, @midnight, @weekly, @monthly, "
                + "@yearly and @annually."
        case .fieldCount(let count, let expression):
            "The cron expression \"\(expression)\" has \(count) \(count == 1 ? "field" : "fields"), not 5 (minute, "
                + "hour, day of the month, month, day of the week) or 6 (the second first)."
        case .malformedField(let error, let expression):
            "The \(error.field.rawValue) \"\(error.text)\" of the cron expression \"\(expression)\" "
                + error.explanation
        case .neverMatches(let expression):
            "The cron expression \"\(expression)\" never matches: none of its months has such a day."
        }
    }
}

/// Why a text is not a field of a cron expression.
struct CronFieldError: Error {
    let field: CronField
    /// The part of the field that is not valid.
    let text: String
    let problem: Problem

    enum Problem {
        case emptyItem
        case notValue
        case notInRange
        case tooManyDigits
        case reversed(lower: Int, upper: Int)
        /// The step is not from 1 to the number of values through which it goes.
        case notStep(Int)
        case unsupported(Character)
    }

    init(_ field: CronField, _ text: Substring, _ problem: Problem) {
        (self.field, self.text, self.problem) = (field, String(text), problem)
    }

    /// The end of a sentence that begins with the field.
    var explanation: String {
        let range = "\(field.range.lowerBound)...\(field.range.upperBound)"
        switch problem {
        case .emptyItem: return "has an empty item. Write one comma between two values."
        case .notValue:
            switch field {
            case .second, .minute, .hour, .dayOfMonth: return "is not a number in \(range)."
            case .month: return "is neither a number in \(range) nor a name from JAN to DEC."
            case .dayOfWeek: return "is neither a number in \(range) nor a name from SUN to SAT."
            }
        case .notInRange: return "is not in \(range)."
        case .tooManyDigits: return "has more than 9 digits. It must be in \(range)."
        case .reversed(let lower, let upper):
            let (minimum, maximum) = (field.range.lowerBound, field.range.upperBound)
            return "is a reversed range. Write \"\(lower)-\(maximum),\(minimum)-\(upper)\"."
        case .notStep(let count):
            return "has a step that is not in 1...\(count): without a step, it has \(count) values."
        case .unsupported(let character):
            return "uses \"\(character)\", which is not supported. Write values, ranges, steps or \"*\"."
        }
    }
}
