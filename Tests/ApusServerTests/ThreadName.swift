import Foundation

/// The name of the thread that runs now.
enum ThreadName {
    static var current: String {
        let text = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        return text?.trimmingCharacters(in: .newlines) ?? ""
    }
}
