import ApusCore
import NIOCore

extension Deadline {
    /// The deadline on the clock of the event loops.
    var onEventLoop: NIODeadline { .now() + TimeAmount(remaining) }
}
