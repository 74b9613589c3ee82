import NIOCore
import Synchronization

/// Asks sentinels for the address of the primary.
final class SentinelResolver: Sendable {
    /// There is no server to ask.
    struct NoServers: Error, CustomStringConvertible {
        var description: String { "no server is configured" }
    }

    /// No sentinel knows the primary.
    struct UnknownPrimary: Error, CustomStringConvertible {
        let primary: String
        /// What each sentinel answered.
        let answers: [String]
        var description: String { "no sentinel names the primary \"\(primary)\" (\(answers.joined(separator: "; ")))" }
    }

    /// The sentinel that answered last comes first.
    private let sentinels: Mutex<[RedisEndpoint]>
    private let name: String
    private let settings: ConnectionSettings

    init(_ sentinels: [RedisEndpoint], _ name: String, _ settings: ConnectionSettings) {
        self.sentinels = Mutex(sentinels)
        self.name = name
        self.settings = settings
    }

    /// Returns the address of the primary, from the first sentinel that knows it.
    /// - Throws: A `ConnectionFailure`.
    func primary(on eventLoop: any EventLoop) async throws -> RedisEndpoint {
        var answers: [String] = []
        for sentinel in sentinels.withLock({ $0 }) {
            do {
                if let primary = try await ask(sentinel, on: eventLoop) {
                    sentinels.withLock { sentinels in
                        sentinels.removeAll { $0 == sentinel }
                        sentinels.insert(sentinel, at: 0)
                    }
                    return primary
                }
                answers.append("\(sentinel): unknown")
            } catch {
                answers.append("\(sentinel): \(error)")
            }
        }
        throw ConnectionFailure.unreachable(UnknownPrimary(primary: name, answers: answers))
    }

    private func ask(_ sentinel: RedisEndpoint, on eventLoop: any EventLoop) async throws -> RedisEndpoint? {
        let connection = try await RedisConnection.open(on: eventLoop, to: sentinel, for: .dedicated, settings).get()
        defer { eventLoop.execute { connection.end(.abandoned) } }
        var command = RedisCommand("SENTINEL")
        command.append("get-master-addr-by-name")
        command.append(name)
        let reply = try await connection.perform(.command(command), deadline: .now() + settings.connectTimeout)
        switch reply {
        case .null: return nil
        case .error(let error): throw error
        default:
            guard let elements = reply.elements, elements.count == 2, let host = elements[0].text,
                let port = elements[1].text.flatMap({ Int(String(buffer: $0)) })
            else { throw RedisError(code: "ERR", message: "an unexpected answer: \(reply.kind)") }
            return .tcp(host: String(buffer: host), port: port)
        }
    }
}
