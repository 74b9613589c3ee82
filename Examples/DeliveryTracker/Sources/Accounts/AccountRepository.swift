import Apus

protocol AccountRepository: Repository where Entity == Account {
    /// Returns the account with an email address, compared without regard to case.
    func find(email: String) async throws -> Account?
}
