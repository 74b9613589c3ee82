/// Where and how a ``FaultProxy`` breaks a connection.
struct Fault: Sendable, CustomStringConvertible {
    /// Who has sent the message at which the connection breaks.
    enum Side: Sendable, CaseIterable {
        case client
        case server
    }

    /// What of the message is still forwarded.
    enum Place: Sendable, CaseIterable {
        case before
        /// The first half of its bytes.
        case inside
        case after
    }

    enum Effect: Sendable {
        /// Both connections are closed in order (FIN).
        case close
        /// Both connections are reset (RST).
        case reset
        /// Nothing is forwarded any more, and nobody is told, as when a cable is cut.
        case silence
    }

    /// What is counted to find the place.
    enum Position: Sendable {
        /// The message with this number, from 0, of those that the side sends.
        case message(Int, Place)
        /// The number of bytes of the side that are forwarded. For encrypted connections.
        case byte(Int)
    }

    var side: Side
    var position: Position
    var effect: Effect

    var description: String {
        switch position {
        case .message(let number, let place): "\(effect) \(place) message \(number) of the \(side)"
        case .byte(let offset): "\(effect) after byte \(offset) of the \(side)"
        }
    }
}
