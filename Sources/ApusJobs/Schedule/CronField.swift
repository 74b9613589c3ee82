/// A field of a cron expression.
enum CronField: String, CaseIterable {
    case second
    case minute
    case hour
    case dayOfMonth = "day of the month"
    case month
    case dayOfWeek = "day of the week"

    /// The values that may be written.
    var range: ClosedRange<Int> {
        switch self {
        case .second, .minute: 0...59
        case .hour: 0...23
        case .dayOfMonth: 1...31
        case .month: 1...12
        case .dayOfWeek: 0...7
        }
    }

    /// The values that `*` stands for: all, each once.
    var allValues: ClosedRange<Int> {
        self == .dayOfWeek ? 0...6 : range
    }

    /// The names of the values, from the lowest on.
    private var names: [String] {
        switch self {
        case .second, .minute, .hour, .dayOfMonth: []
        case .month: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        case .dayOfWeek: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
        }
    }

    /// The value of a name, in upper or lower case.
    func value(named name: Substring) -> Int? {
        // Byte by byte: some letters of other alphabets become ASCII letters in upper case.
        let name = name.utf8.map { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 ? $0 - 0x20 : $0 }
        return names.firstIndex { $0.utf8.elementsEqual(name) }.map { $0 + range.lowerBound }
    }
}
