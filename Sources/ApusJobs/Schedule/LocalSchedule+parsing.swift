extension LocalSchedule {
    /// The length of an expression that lists each value of each field, rounded up.
    static let maximumBytes = 1000

    /// Parses a cron expression.
    init(_ expression: String) throws(CronError) {
        guard expression.utf8.count <= Self.maximumBytes else { throw .tooLong(expression.utf8.count) }
        let fields = try Self.fields(of: expression)
        guard fields.count == 5 || fields.count == 6 else { throw .fieldCount(fields.count, expression: expression) }
        do {
            seconds = try fields.count == 6 ? CronValues(fields[0], of: .second) : CronValues(bits: 1)
            let fields = fields.suffix(5)
            minutes = try CronValues(fields[fields.startIndex], of: .minute)
            hours = try CronValues(fields[fields.startIndex + 1], of: .hour)
            daysOfMonth = try CronValues(fields[fields.startIndex + 2], of: .dayOfMonth)
            months = try CronValues(fields[fields.startIndex + 3], of: .month)
            daysOfWeek = try CronValues(fields[fields.startIndex + 4], of: .dayOfWeek)
        } catch {
            throw .malformedField(error, expression: expression)
        }
        guard first(atOrAfter: 0) != nil else { throw .neverMatches(expression: expression) }
    }

    /// The fields of an expression, or of the one that a macro stands for.
    private static func fields(of expression: String) throws(CronError) -> [Substring] {
        let fields = split(expression)
        guard let first = fields.first, first.utf8.first == UInt8(ascii: "@") else { return fields }
        guard fields.count == 1, let expansion = expansion(ofMacro: first) else { throw .unknownMacro(expression) }
        return split(expansion)
    }

    private static func split(_ expression: String) -> [Substring] {
        expression.split { $0 == " " || $0 == "\t" }
    }

    private static func expansion(ofMacro name: Substring) -> String? {
        switch name {
        case "@hourly": "0 * * * *"
        case "@daily", "@midnight": "0 0 * * *"
        case "@weekly": "0 0 * * 0"
        case "@monthly": "0 0 1 * *"
        case "@yearly", "@annually": "0 0 1 1 *"
        default: nil
        }
    }
}
