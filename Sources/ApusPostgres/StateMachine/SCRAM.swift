import ApusCore
import Crypto
import CryptoExtras
import FoundationEssentials

/// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with channel binding if the connection is encrypted.
struct SCRAM {
    /// How the exchange is bound to the TLS connection, so that nobody in the middle can relay it.
    enum ChannelBinding: Equatable, Sendable {
        /// There is nothing to bind to.
        case unsupported
        /// This side could bind, but the server has not offered it. The server rejects this if it has.
        case notOffered
        /// `tls-server-end-point`: the hash of the server's certificate (RFC 5929 §4).
        case serverEndPoint([UInt8])

        fileprivate var header: String {
            switch self {
            case .unsupported: "n,,"
            case .notOffered: "y,,"
            case .serverEndPoint: "p=tls-server-end-point,,"
            }
        }

        fileprivate var data: [UInt8] {
            switch self {
            case .unsupported, .notOffered: Array(header.utf8)
            case .serverEndPoint(let hash): Array(header.utf8) + hash
            }
        }
    }

    /// What the salted password is derived from. It takes milliseconds, so it must not happen on an event loop.
    struct KeyRequest: Equatable, Sendable {
        let salt: [UInt8]
        let iterations: Int

        /// Derives the salted password.
        func saltedPassword(_ password: Secret<String>) throws -> SymmetricKey {
            try KDF.Insecure.PBKDF2.deriveKey(
                from: Array(PasswordPreparation.prepare(password.reveal()).utf8), salt: salt, using: .sha256,
                outputByteCount: 32, unsafeUncheckedRounds: iterations)
        }
    }

    /// The limit for the number of iterations, so that a server cannot keep a processor busy. The server's default is
    /// 4096.
    static let maximumIterations = 1_000_000

    private let binding: ChannelBinding
    private let nonce: String
    private var serverFirst = ""
    private var combinedNonce = ""
    private var expectedSignature: [UInt8]?

    init(binding: ChannelBinding, nonce: String = Self.makeNonce()) {
        self.binding = binding
        self.nonce = nonce
    }

    private static func makeNonce() -> String {
        SymmetricKey(size: .init(bitCount: 144)).withUnsafeBytes { Data($0).base64EncodedString() }
    }

    /// The first message. The server takes the user's name from the startup message.
    var clientFirst: String { binding.header + clientFirstBare }

    private var clientFirstBare: String { "n=,r=" + nonce }

    /// Reads the server's first message.
    mutating func received(serverFirst: String) throws(ProtocolViolation) -> KeyRequest {
        let attributes = serverFirst.split(at: ",").compactMap { $0.cut(at: "=") }
        guard attributes.count >= 3, attributes[0].before == "r", attributes[1].before == "s",
            attributes[2].before == "i", let salt = Data(base64Encoded: String(attributes[1].after)),
            let iterations = Int(attributes[2].after), (1...Self.maximumIterations).contains(iterations)
        else { throw ProtocolViolation("The server's first SCRAM message is malformed.") }
        combinedNonce = String(attributes[0].after)
        guard combinedNonce.starts(withBytesOf: nonce), combinedNonce.utf8.count > nonce.utf8.count else {
            throw ProtocolViolation("The server's SCRAM nonce does not begin with that of the client.")
        }
        self.serverFirst = serverFirst
        return KeyRequest(salt: Array(salt), iterations: iterations)
    }

    /// Returns the final message, which proves that the client knows the password.
    mutating func clientFinal(saltedPassword: SymmetricKey) -> String {
        let withoutProof = "c=" + Data(binding.data).base64EncodedString() + ",r=" + combinedNonce
        let message = Array((clientFirstBare + "," + serverFirst + "," + withoutProof).utf8)
        let clientKey = Self.hmac("Client Key".utf8, saltedPassword)
        let storedKey = SymmetricKey(data: Array(SHA256.hash(data: clientKey)))
        let proof = zip(clientKey, Self.hmac(message, storedKey)).map { $0 ^ $1 }
        let serverKey = SymmetricKey(data: Self.hmac("Server Key".utf8, saltedPassword))
        expectedSignature = Self.hmac(message, serverKey)
        return withoutProof + ",p=" + Data(proof).base64EncodedString()
    }

    private static func hmac(_ message: some Sequence<UInt8>, _ key: SymmetricKey) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(message), using: key))
    }

    /// Verifies the server's final message, which proves that the server knows the password as well.
    func verify(serverFinal: String) throws(ProtocolViolation) {
        let first = serverFinal.split(at: ",").first?.cut(at: "=")
        guard let first, first.before == "v", let signature = Data(base64Encoded: String(first.after)),
            let expectedSignature, constantTimeEqual(signature, expectedSignature)
        else { throw ProtocolViolation("The server could not prove that it knows the password.") }
    }
}
