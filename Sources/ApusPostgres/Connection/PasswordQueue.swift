import ApusCore
import Crypto
import NIOCore
import NIOPosix

/// Derives keys from passwords on NIO's thread pool.
enum PasswordQueue {
    static func derive(_ request: SCRAM.KeyRequest, _ password: Secret<String>) -> EventLoopFuture<SymmetricKey> {
        NIOThreadPool.singleton.runIfActive(eventLoop: MultiThreadedEventLoopGroup.singleton.any()) {
            try request.saltedPassword(password)
        }
    }
}
