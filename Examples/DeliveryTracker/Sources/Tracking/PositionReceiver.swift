import Apus

/// Receives the positions of drivers that are connected to other processes.
struct PositionReceiver: Service {
    let feed: LiveFeed
    let tracking: TrackingService

    /// The part of a message that matters here.
    private struct Message: Decodable {
        let position: PositionView?
    }

    func run() async throws {
        // Ends with the task, by a cancellation. After a gap, each driver's next position comes within a second.
        try? await cancelWhenGracefulShutdown {
            try await feed.watchFleet { member in
                while let received = try await member.receive() {
                    guard case .message(let message) = received,
                        let position = try? message.decode(Message.self).position
                    else { continue }
                    tracking.note(position)
                }
            }
        }
    }
}
