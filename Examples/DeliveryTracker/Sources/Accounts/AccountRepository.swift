import Apus

protocol AccountRepository: Repository where Entity == Account {
    /// The account of an address, in whatever case it is written.
    func find(email: String) async throws -> Account?
}
