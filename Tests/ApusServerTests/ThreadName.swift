import Foundation

/// The name of the current thread.
enum ThreadName {
    static var current: String {
        let text = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        return text?.trimmingCharacters(in: .newlines) ?? ""
    }
}
