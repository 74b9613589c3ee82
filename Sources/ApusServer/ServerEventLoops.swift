import NIOCore
import NIOPosix
import Synchronization

/// The event loops of a server that end later than the server: clients of databases have connections on the loops of the
/// requests that used them, and close these after the server has stopped.
package final class ServerEventLoops: Sendable {
    private let group = Mutex<MultiThreadedEventLoopGroup?>(nil)

    package init() {}

    /// Returns the event loops, which are started by the first call.
    func start(threads: Int) -> MultiThreadedEventLoopGroup {
        group.withLock { group in
            if let group { return group }
            let started = MultiThreadedEventLoopGroup(numberOfThreads: threads)
            group = started
            return started
        }
    }

    /// Ends the event loops. Nothing may use them any more.
    package func shutDown() async { try? await group.withLock({ $0.take() })?.shutdownGracefully() }
}
