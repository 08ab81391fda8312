//! Kills the real server under load, starts it over the same data, and asks what became of everything it had
//! acknowledged. What was acknowledged is kept here, in the process that survives.

mod after;
mod load;
mod process;
mod whole;
mod wire;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward::kernel::random::Random;

use load::{Clerk, Enroller, Ledger, Registrar, Rotator, Target, Visitor, Worker};
use process::{Place, Server};
use wire::Client;

const PASSWORD: &str = "plum-anchor-violet-seventy";
/// What lies on the disk is looked through after every so many kills.
const LOOK_EVERY: u32 = 5;
/// A line is printed after every so many kills.
const TELL_EVERY: u32 = 20;

/// The workers and what they were told.
struct Crowd {
    ledger: Ledger,
    rotators: Vec<Rotator>,
    visitors: Vec<Visitor>,
    looked_at: usize,
}

struct Run {
    place: Place,
    target: Target,
    copy: PathBuf,
    random: Random,
    crowd: Crowd,
}

/// Kills the server at `program` `kills` times, with its data below `dir`. Prints as it goes and returns how many
/// kills were survived without a loss, or why it could not go on.
pub(super) fn run(program: &str, dir: &str, kills: &str) -> Result<(), String> {
    let kills: u32 = kills.parse().map_err(|_| format!("{kills} is no number of kills"))?;
    let place = Place::new(program, dir)?;
    let target = Target { address: place.address, data: place.data.clone(), is_over: AtomicBool::new(false) };
    let copy = Path::new(dir).join("copy");
    let mut run = Run { place, target, copy, random: Random::os(), crowd: Crowd::new() };
    let mut failed = 0;
    for kill in 1..=kills {
        if let Err(what) = run.round(kill) {
            failed += 1;
            say(&format!("server, kill {kill}: FAILED: {what}"));
        }
        if kill % TELL_EVERY == 0 || kill == kills {
            say(&run.tell(kill));
        }
    }
    say(&format!("server: {} passed, {failed} failed", kills - failed));
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {kills} kills of the server did harm")) }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

impl Crowd {
    fn new() -> Self {
        let rotators = (0..4).map(|number| Rotator { name: format!("rotator{number}"), family: None });
        let visitors =
            (0..2).map(|number| Visitor { name: format!("visitor{number}"), count: 0, open: None });
        Crowd {
            ledger: Ledger::default(),
            rotators: rotators.collect(),
            visitors: visitors.collect(),
            looked_at: 0,
        }
    }

    /// Registers the people that the rotators and visitors are.
    fn arrive(&self, client: &mut Client) -> Result<(), String> {
        let names =
            self.rotators.iter().map(|one| &one.name).chain(self.visitors.iter().map(|one| &one.name));
        for name in names {
            let body = serde_json::json!({"username": name, "password": PASSWORD});
            let answer = client.post("/api/v1/users", None, &body).map_err(|error| error.to_string())?;
            if answer.status != 201 {
                return Err(format!("{name} cannot register: {}", answer.verdict()));
            }
            self.ledger.add_person(name.clone());
        }
        Ok(())
    }
}

impl Run {
    /// One kill and the look at what it left.
    fn round(&mut self, kill: u32) -> Result<(), String> {
        let random = u64::from(u32::from_le_bytes(self.random.bytes()));
        if kill == 1 {
            let mut server = self.start()?;
            self.crowd.arrive(&mut Client::new(self.target.address))?;
            self.load(&mut server, Duration::from_millis(300))?;
        } else if kill.is_multiple_of(4) {
            // While it opens the store; nobody asks yet.
            let mut server = self.place.start()?;
            std::thread::sleep(Duration::from_millis(random % 41));
            server.kill()?;
        } else if kill % 4 == 2 {
            // While it starts and the first clients come.
            let mut server = self.place.start()?;
            self.load(&mut server, Duration::from_millis(random % 400))?;
        } else {
            let mut server = self.start()?;
            self.load(&mut server, Duration::from_millis(20 + random % 600))?;
        }
        self.verify(kill)
    }

    fn start(&self) -> Result<Server, String> {
        let mut server = self.place.start()?;
        self.place.wait_until_ready(&mut server)?;
        Ok(server)
    }

    /// Lets everybody work and kills the server in the midst of it.
    fn load(&mut self, server: &mut Server, life: Duration) -> Result<(), String> {
        let Run { target, crowd, .. } = self;
        let (target, ledger) = (&*target, &crowd.ledger);
        target.is_over.store(false, Ordering::Relaxed);
        let (mut clerk, mut registrar, mut enroller) = (Clerk, Registrar, Enroller);
        let mut workers: Vec<&mut dyn Worker> = vec![&mut clerk, &mut registrar, &mut enroller];
        workers.extend(crowd.rotators.iter_mut().map(|one| one as &mut dyn Worker));
        workers.extend(crowd.visitors.iter_mut().map(|one| one as &mut dyn Worker));
        std::thread::scope(|scope| {
            for worker in workers {
                scope.spawn(move || load::work(worker, target, ledger));
            }
            std::thread::sleep(life);
            target.is_over.store(true, Ordering::Relaxed);
            server.kill()
        })
    }

    /// Looks at what the kill left, on the disk and then through the server.
    fn verify(&mut self, kill: u32) -> Result<(), String> {
        let wrong = std::mem::take(&mut *self.crowd.ledger.wrong.lock());
        self.place.copy_to(&self.copy)?;
        let result = match wrong.into_iter().next() {
            Some(what) => Err(what),
            None => self.look(kill).and_then(|()| self.ask(kill)),
        };
        result.map_err(|what| {
            // What was lost is told once.
            self.crowd.rotators.iter_mut().for_each(|one| one.family = None);
            self.crowd.visitors.iter_mut().for_each(|one| one.open = None);
            let kept = self.copy.with_file_name(format!("left-by-kill-{kill}"));
            match std::fs::rename(&self.copy, &kept) {
                Ok(()) => format!("{what} (what the kill left is in {})", kept.display()),
                Err(_) => what,
            }
        })
    }

    fn look(&self, kill: u32) -> Result<(), String> {
        if !kill.is_multiple_of(LOOK_EVERY) {
            return Ok(());
        }
        // The copy stays as it was for whoever has to find a fault.
        let place = self.copy.with_file_name("looked-at");
        self.place.copy_to(&place)?;
        whole::check(&place)?;
        self.place.check_store(&place)
    }

    fn ask(&mut self, kill: u32) -> Result<(), String> {
        let mut server = self.start()?;
        let Crowd { ledger, rotators, visitors, looked_at } = &mut self.crowd;
        let mut client = Client::new(self.target.address);
        // The families first: who lost an answer has ten seconds.
        for (number, rotator) in (0..).zip(rotators.iter_mut()) {
            after::family(&mut client, rotator, (kill + number).is_multiple_of(8), ledger)?;
        }
        for visitor in visitors {
            after::visitor(&mut client, visitor, ledger)?;
        }
        let old = usize::from(u16::from_le_bytes(self.random.bytes()));
        after::ended(&mut client, ledger, looked_at, old)?;
        after::people(&self.target, ledger)?;
        after::registrations(&mut client, ledger)?;
        after::second_factors(&mut client, ledger)?;
        // No load, and so no loss; but killed all the same: an orderly stop would hide what a crash leaves.
        server.kill()
    }

    fn tell(&self, kill: u32) -> String {
        let ledger = &self.crowd.ledger;
        format!(
            "server: {kill} kills, {} answers acknowledged: {} rotations, {} people, {} sessions ended, {} second factors",
            ledger.acknowledged.load(Ordering::Relaxed),
            ledger.rotations.load(Ordering::Relaxed),
            ledger.people.lock().len(),
            ledger.ended.lock().len(),
            ledger.enrolled.lock().len(),
        )
    }
}
