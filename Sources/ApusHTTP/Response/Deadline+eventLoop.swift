package import ApusCore
package import NIOCore

extension Deadline {
    /// The deadline on the clock of the event loops.
    package var onEventLoop: NIODeadline { .now() + TimeAmount(remaining) }
}
