import ApusCore
import Crypto
import NIOCore

/// Authenticates the client, and with SCRAM the server as well, without doing any I/O.
struct Authentication {
    enum Action: Equatable {
        case none
        /// Derive the key away from the event loop, and pass it to ``derived(_:to:)``.
        case deriveKey(SCRAM.KeyRequest)
        case succeeded
    }

    private enum State {
        case initial
        case passwordSent
        case awaitsServerFirst(SCRAM)
        case awaitsKey(SCRAM)
        case awaitsServerFinal(SCRAM)
        case serverVerified
        case ended
    }

    private let user: String
    private let password: Secret<String>?
    private let channelBinding: PostgresConfiguration.ChannelBinding
    private let binding: SCRAM.ChannelBinding
    private let isConfidential: Bool
    private let nonce: String?
    private var state = State.initial
    /// Whether the authentication is bound to the connection.
    private var isBound = false

    /// - Parameters:
    ///   - binding: What SCRAM can be bound to.
    ///   - isConfidential: Whether nobody else can read the connection. Otherwise, the password is not sent as it is.
    ///   - nonce: The nonce of SCRAM, for tests. By default it is random.
    init(
        user: String, password: Secret<String>?, channelBinding: PostgresConfiguration.ChannelBinding = .prefer,
        binding: SCRAM.ChannelBinding, isConfidential: Bool, nonce: String? = nil
    ) {
        self.user = user
        self.password = password
        self.channelBinding = channelBinding
        self.binding = channelBinding == .disable ? .unsupported : binding
        self.isConfidential = isConfidential
        self.nonce = nonce
    }

    /// Called with an authentication message.
    mutating func received(_ body: ByteBuffer, to output: inout ByteBuffer) throws -> Action {
        var body = body
        guard let kind = body.readInteger(as: UInt32.self) else {
            throw ProtocolViolation("An authentication message is cut short.")
        }
        // Before the password is sent in any form.
        if [0, 3, 5].contains(kind) { try requireBinding() }
        switch (kind, state) {
        case (0, .initial), (0, .passwordSent), (0, .serverVerified):
            state = .ended
            return .succeeded
        case (0, .awaitsServerFirst), (0, .awaitsKey), (0, .awaitsServerFinal):
            throw ProtocolViolation("The server has ended SCRAM without proving that it knows the password.")
        case (3, .initial):
            guard isConfidential else {
                throw AppError(
                    .failedPrecondition,
                    "The database asks for the password in clear text on a connection that is not encrypted. Use "
                        + "scram-sha-256 there, or sslmode=require here.")
            }
            FrontendMessage.password(try requirePassword().utf8, to: &output)
            state = .passwordSent
        case (5, .initial):
            guard let salt = body.readBytes(length: 4) else { throw ProtocolViolation("An md5 salt is cut short.") }
            FrontendMessage.password(md5(try requirePassword(), salt).utf8, to: &output)
            state = .passwordSent
        case (10, .initial): try startSASL(&body, &output)
        case (11, .awaitsServerFirst(var scram)):
            let request = try scram.received(serverFirst: String(buffer: body))
            state = .awaitsKey(scram)
            return .deriveKey(request)
        case (12, .awaitsServerFinal(let scram)):
            try scram.verify(serverFinal: String(buffer: body))
            state = .serverVerified
        case (2, _), (6, _), (7, _), (8, _), (9, _):
            throw AppError(
                .failedPrecondition,
                "The database asks for an authentication method that is not supported. Use scram-sha-256.")
        default: throw ProtocolViolation("An authentication message of kind \(kind) was not expected.")
        }
        return .none
    }

    private mutating func startSASL(_ body: inout ByteBuffer, _ output: inout ByteBuffer) throws {
        var mechanisms: [String] = []
        while let mechanism = body.readNullTerminatedString(), !mechanism.isEmpty { mechanisms.append(mechanism) }
        _ = try requirePassword()
        let scram: SCRAM
        let mechanism: String
        if case .serverEndPoint = binding, mechanisms.contains("SCRAM-SHA-256-PLUS") {
            mechanism = "SCRAM-SHA-256-PLUS"
            scram = makeSCRAM(binding)
            isBound = true
        } else if mechanisms.contains("SCRAM-SHA-256") {
            try requireBinding()
            mechanism = "SCRAM-SHA-256"
            if case .serverEndPoint = binding {
                scram = makeSCRAM(.notOffered)
            } else {
                scram = makeSCRAM(.unsupported)
            }
        } else {
            throw AppError(
                .failedPrecondition,
                "The database offers no authentication mechanism that is supported. Use scram-sha-256.")
        }
        FrontendMessage.saslInitialResponse(mechanism, scram.clientFirst, to: &output)
        state = .awaitsServerFirst(scram)
    }

    /// - Throws: An `AppError` of code `failedPrecondition` if channel binding is required, and not used.
    private func requireBinding() throws {
        guard channelBinding == .require, !isBound else { return }
        throw AppError(
            .failedPrecondition,
            "channel_binding=require needs scram-sha-256 and an encrypted connection; the database does not offer both."
        )
    }

    private func makeSCRAM(_ binding: SCRAM.ChannelBinding) -> SCRAM {
        if let nonce { SCRAM(binding: binding, nonce: nonce) } else { SCRAM(binding: binding) }
    }

    /// Called with the key that was asked for.
    mutating func derived(_ saltedPassword: SymmetricKey, to output: inout ByteBuffer) {
        guard case .awaitsKey(var scram) = state else { return }
        FrontendMessage.saslResponse(scram.clientFinal(saltedPassword: saltedPassword), to: &output)
        state = .awaitsServerFinal(scram)
    }

    private func requirePassword() throws -> String {
        guard let password = password?.reveal(), !password.isEmpty else {
            throw AppError(.failedPrecondition, "The database asks for a password, but its URL has none.")
        }
        guard !password.utf8.contains(0) else {
            throw AppError(.failedPrecondition, "The password of the database contains the character U+0000.")
        }
        return password
    }

    private func md5(_ password: String, _ salt: [UInt8]) -> String {
        let inner = hexMD5(Array(password.utf8) + Array(user.utf8))
        return "md5" + hexMD5(Array(inner.utf8) + salt)
    }

    private func hexMD5(_ bytes: [UInt8]) -> String {
        Insecure.MD5.hash(data: bytes).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
