import ApusCore
import Crypto
import Foundation
import NIOCore
import Testing

@testable import ApusPostgres

struct AuthenticationTests {
    private typealias Machine = PostgresConnectionStateMachine<Int>

    private func machine(
        password: String? = "pencil", nonce: String? = nil, isConfidential: Bool = true,
        channelBinding: PostgresConfiguration.ChannelBinding = .prefer
    ) -> MachineUnderTest {
        var options = Machine.Options()
        options.user = "user"
        options.password = password.map { Secret($0) }
        options.parameters = [("user", "user")]
        options.nonce = nonce
        options.channelBinding = channelBinding
        var test = MachineUnderTest(options, isConfidential: isConfidential)
        test.machine.output.clear()
        return test
    }

    private let ready =
        ServerMessage.bytes("S", ServerMessage.string("server_version") + ServerMessage.string("15.1"))
        + ServerMessage.bytes("K", ServerMessage.integer(UInt32(7)) + ServerMessage.integer(UInt32(8)))
        + ServerMessage.ready()

    @Test func `Without a password the server accepts at once`() {
        var test = machine(password: nil)
        test.receive(ServerMessage.authenticationOK + ready)
        #expect(test.machine.isReady && test.machine.backendKey == BackendKey(process: 7, secret: 8))
        #expect(test.machine.parameters["server_version"] == "15.1")
    }

    @Test func `A password in clear text is sent when asked for`() {
        var test = machine()
        test.receive(ServerMessage.authentication(3))
        #expect(test.sent() == [SentMessage(kind: "p", body: Array("pencil\0".utf8))])
        test.receive(ServerMessage.authenticationOK + ready)
        #expect(test.machine.isReady)
    }

    @Test func `A password is not sent in clear text where others can read it`() {
        var test = machine(isConfidential: false)
        test.receive(ServerMessage.authentication(3))
        #expect(test.sent().isEmpty)
        #expect(test.failure?.code == .failedPrecondition)
        #expect(test.failure?.message.contains("sslmode=require") == true)
    }

    @Test(arguments: [
        ServerMessage.authenticationOK, ServerMessage.authentication(3), ServerMessage.authentication(5, [1, 2, 3, 4]),
        ServerMessage.authentication(10, Array("SCRAM-SHA-256\0\0".utf8)),
    ])
    func `Where channel binding is required, nothing is sent without it`(message: [UInt8]) {
        var test = machine(channelBinding: .require)
        test.receive(message)
        #expect(test.sent().isEmpty)
        #expect(test.failure?.code == .failedPrecondition)
        #expect(test.failure?.message.contains("channel_binding=require") == true)
    }

    @Test func `What does not leave the machine is confidential`() throws {
        let addresses = ["127.0.0.1", "127.8.9.1", "::1", "10.0.0.1", "::2", "128.0.0.1"].map {
            try? SocketAddress(ipAddress: $0, port: 5432).isOnThisMachine
        }
        #expect(addresses == [true, true, true, false, false, false])
        #expect(try SocketAddress(unixDomainSocketPath: "/run/.s.PGSQL.5432").isOnThisMachine)
    }

    @Test func `md5 hashes the password, the user and the salt`() {
        var test = machine()
        test.receive(ServerMessage.authentication(5, [1, 2, 3, 4]))
        func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }
        let inner = hex(Array(Insecure.MD5.hash(data: Array("penciluser".utf8))))
        let outer = hex(Array(Insecure.MD5.hash(data: Array(inner.utf8) + [1, 2, 3, 4])))
        #expect(test.sent() == [SentMessage(kind: "p", body: Array("md5\(outer)\0".utf8))])
    }

    @Test func `A password that is asked for but not given is named`() {
        var test = machine(password: nil)
        test.receive(ServerMessage.authentication(3))
        #expect(test.failure?.code == .failedPrecondition)
        #expect(test.failure?.message.contains("password") == true)
    }

    @Test(arguments: [UInt32(2), 7, 8, 9, 99])
    func `A method that is not supported ends the connection`(kind: UInt32) {
        var test = machine()
        test.receive(ServerMessage.authentication(kind))
        #expect(test.failure != nil)
    }

    @Test func `A rejected password is an internal error, whose cause says so`() {
        var test = machine()
        test.receive(ServerMessage.error("28P01", severity: "FATAL", "password authentication failed"))
        #expect(test.failure?.code == .internal)
        #expect(test.failure.map { String(reflecting: $0) }?.contains("28P01") == true)
    }

    // MARK: SCRAM

    /// The server's side of SCRAM.
    private struct ScramServer {
        let nonce = "server-nonce"
        let salt = Array("salt-of-server".utf8)
        let iterations = 4096
        var clientFirstBare = ""
        var header = ""

        mutating func first(_ clientFirst: String) -> String {
            let parts = clientFirst.split(separator: ",", omittingEmptySubsequences: false)
            header = parts[0...1].joined(separator: ",") + ","
            clientFirstBare = parts[2...].joined(separator: ",")
            return serverFirst
        }

        var serverFirst: String {
            let clientNonce = clientFirstBare.split(separator: "r=", maxSplits: 1).last ?? ""
            return "r=\(clientNonce)\(nonce),s=\(Data(salt).base64EncodedString()),i=\(iterations)"
        }

        /// Verifies the client's proof, and returns the server's.
        func final(_ clientFinal: String, password: String, binding: [UInt8] = []) throws -> String {
            let salted = try SCRAM.KeyRequest(salt: salt, iterations: iterations).saltedPassword(Secret(password))
            let fields = clientFinal.split(separator: ",")
            #expect(fields[0] == "c=" + Data(Array(header.utf8) + binding).base64EncodedString())
            let withoutProof = fields.dropLast().joined(separator: ",")
            let message = Data((clientFirstBare + "," + serverFirst + "," + withoutProof).utf8)
            let clientKey = Data(HMAC<SHA256>.authenticationCode(for: Data("Client Key".utf8), using: salted))
            let storedKey = SymmetricKey(data: Data(SHA256.hash(data: clientKey)))
            let signature = Data(HMAC<SHA256>.authenticationCode(for: message, using: storedKey))
            let proof = Data(base64Encoded: String(fields[2].dropFirst(2)))
            #expect(proof == Data(zip(clientKey, signature).map { $0 ^ $1 }))
            let serverKey = SymmetricKey(
                data: Data(HMAC<SHA256>.authenticationCode(for: Data("Server Key".utf8), using: salted)))
            return "v=" + Data(HMAC<SHA256>.authenticationCode(for: message, using: serverKey)).base64EncodedString()
        }
    }

    private func exchange(
        _ test: inout MachineUnderTest, mechanisms: [String], binding: [UInt8] = [], serverKnowsPassword: Bool = true
    ) throws -> String {
        var server = ScramServer()
        test.receive(ServerMessage.authentication(10, mechanisms.flatMap { ServerMessage.string($0) } + [0]))
        let sent = test.sent()
        let first = try #require(sent.first)
        let mechanism = first.firstString
        let response = String(decoding: first.body.dropFirst(mechanism.utf8.count + 5), as: UTF8.self)
        let actions = test.receive(ServerMessage.authentication(11, Array(server.first(response).utf8)))
        guard case .deriveKey(let request)? = actions.first else { throw ProtocolViolation("No key was asked for.") }
        test.machine.derived(try request.saltedPassword(Secret("pencil")))
        let proof = test.sent()
        let final = String(decoding: try #require(proof.first).body, as: UTF8.self)
        var answer = try server.final(final, password: "pencil", binding: binding)
        if !serverKnowsPassword { answer = "v=" + Data(repeating: 1, count: 32).base64EncodedString() }
        test.receive(ServerMessage.authentication(12, Array(answer.utf8)))
        return mechanism + " " + response.prefix(3)
    }

    @Test func `SCRAM proves the password of both sides`() throws {
        var test = machine()
        #expect(try exchange(&test, mechanisms: ["SCRAM-SHA-256"]) == "SCRAM-SHA-256 n,,")
        test.receive(ServerMessage.authenticationOK + ready)
        #expect(test.machine.isReady)
    }

    @Test func `SCRAM is bound to the certificate if the connection is encrypted`() throws {
        var test = machine()
        let hash = Array(SHA256.hash(data: Data([1])))
        test.machine.binding = .serverEndPoint(hash)
        test.machine.start()
        test.machine.output.clear()
        #expect(
            try exchange(&test, mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], binding: hash)
                == "SCRAM-SHA-256-PLUS p=t")
        test.receive(ServerMessage.authenticationOK + ready)
        #expect(test.machine.isReady)
    }

    @Test func `If the server does not offer binding, it is told that this side could`() throws {
        var test = machine()
        test.machine.binding = .serverEndPoint([1])
        test.machine.start()
        test.machine.output.clear()
        #expect(try exchange(&test, mechanisms: ["SCRAM-SHA-256"]) == "SCRAM-SHA-256 y,,")
    }

    @Test func `A server that does not know the password is refused`() throws {
        var test = machine()
        _ = try exchange(&test, mechanisms: ["SCRAM-SHA-256"], serverKnowsPassword: false)
        #expect(test.failure != nil)
    }

    @Test func `A server that skips its proof is refused`() throws {
        var test = machine()
        test.receive(ServerMessage.authentication(10, ServerMessage.string("SCRAM-SHA-256") + [0]))
        test.receive(ServerMessage.authenticationOK + ready)
        #expect(test.failure != nil && !test.machine.isReady)
    }

    @Test(arguments: [
        "", "r=", "r=other,s=QQ==,i=4096", "r=abc,s=QQ==,i=4096", "r=abcd,s=?,i=4096", "r=abcd,s=QQ==,i=0",
        "r=abcd,s=QQ==,i=2000000000", "r=abcd,s=QQ==,i=x", "s=QQ==,r=abcd,i=4096",
    ])
    func `A malformed message of the server is refused`(message: String) {
        var scram = SCRAM(binding: .unsupported, nonce: "abc")
        #expect(throws: ProtocolViolation.self) { try scram.received(serverFirst: message) }
    }

    @Test func `Passwords in different encodings are equal`() {
        #expect(
            PasswordPreparation.prepare("p\u{e9}").utf8.elementsEqual(PasswordPreparation.prepare("pe\u{301}").utf8))
        #expect(PasswordPreparation.prepare("a\u{00AD}\u{3000}é") == "a é")
        #expect(PasswordPreparation.prepare("ascii only") == "ascii only")
        #expect(PasswordPreparation.prepare("a\u{200B}b").utf8.elementsEqual("a b".utf8))
    }

    @Test(arguments: ["e\u{301}\u{1F600}", "e\u{301}\u{FFFD}", "e\u{301}\u{E000}", "e\u{301}\u{2028}"])
    func `A password with a character that the server does not prepare is used as it is`(password: String) {
        #expect(PasswordPreparation.prepare(password).utf8.elementsEqual(password.utf8))
    }
}
