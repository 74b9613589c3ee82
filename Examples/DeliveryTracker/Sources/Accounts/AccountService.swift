import Apus
import FoundationEssentials

/// Registers accounts and logs them in.
struct AccountService: Sendable {
    private let accounts: any AccountRepository
    private let passwords: any PasswordHasher
    private let signer: any JWT.Signer
    private let tokenLifetime: Duration
    private let clock: any WallClock

    init(
        accounts: any AccountRepository, passwords: any PasswordHasher, signer: any JWT.Signer,
        tokenLifetime: Duration, clock: any WallClock
    ) {
        self.accounts = accounts
        self.passwords = passwords
        self.signer = signer
        self.tokenLifetime = tokenLifetime
        self.clock = clock
    }

    func register(email: String, name: String, password: Secret<String>, role: Account.Role) async throws -> Account {
        let account = Account(
            id: Account.ID(), email: email.lowercased(), name: name, role: role,
            passwordHash: try await passwords.hash(password), createdAt: clock.now)
        do {
            try await accounts.insert(account)
        } catch let error as AppError where error.code == .alreadyExists {
            throw AppError(.alreadyExists, "An account with this email address already exists.", cause: error)
        }
        return account
    }

    func logIn(email: String, password: Secret<String>) async throws -> Session {
        let account = try await accounts.find(email: email)
        let isCorrect = try await passwords.verify(password, against: account?.passwordHash)
        guard let account, isCorrect else {
            throw AppError(.unauthenticated, "The email address or the password is wrong.")
        }
        if passwords.needsRehash(account.passwordHash) {
            let hash = try await passwords.hash(password)
            try await accounts.update(account.id) { $0.passwordHash = hash }
        }
        return try await session(for: account)
    }

    func session(for account: Account) async throws -> Session {
        let expiresAt = clock.now.addingTimeInterval(tokenLifetime.seconds)
        let token = try await signer.sign(JWT.Claims(account, expiresAt: expiresAt))
        return Session(token: token, expiresAt: expiresAt)
    }

    /// Returns the account with an email address, registering it with a random password if it does not exist.
    func findOrRegister(email: String, name: String, role: Account.Role) async throws -> Account {
        if let account = try await accounts.find(email: email) { return account }
        let password = Secret(Identifier<Account>().description + Identifier<Account>().description)
        return try await register(email: email, name: name, password: password, role: role)
    }
}

/// A bearer token and its expiry.
struct Session: Codable, ResponseConvertible {
    let token: String
    let expiresAt: Date

    enum CodingKeys: String, CodingKey {
        case token
        case expiresAt = "expires_at"
    }
}
